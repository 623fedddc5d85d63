"""Numerics that know no experiment: training, releasing, judging, gradients of many networks."""
