"""The commands of `sepbench`."""
