"""Checks that need no checkout: what plug-ins promise, and in `machine` whether this machine computes it right.

A plug-in's are a function for each promise, which says how it is broken.
"""
