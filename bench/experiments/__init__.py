"""Experiments as YAML files, by name."""
