"""The commands, one a file; each calls the Python API and nothing else."""
