"""The appropriator: network architectures and training defenses."""
