"""What a run leaves: records, their values, what others have published, the experiment log."""
