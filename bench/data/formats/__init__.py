"""The storage formats, one file each; a new one registers itself with `DATASETS.register`."""
