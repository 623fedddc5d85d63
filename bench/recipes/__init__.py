"""Training recipes as YAML files: one named protocol of the field each."""
