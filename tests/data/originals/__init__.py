"""Pictures of a person's own, read and written back."""
