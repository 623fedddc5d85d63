"""Errors, keys, seeds, files, devices: what knows nothing of images."""
