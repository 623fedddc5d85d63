"""Numerics that know no experiment: input gradients of frozen networks, fast and in any amount of memory."""
