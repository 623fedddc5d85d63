"""Architectures, one file per family. Each exposes `features(x)` and `head`."""
