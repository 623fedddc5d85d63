"""The three kinds of work: plain functions from a job and a workbench to an artifact."""
