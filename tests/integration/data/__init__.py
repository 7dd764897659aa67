"""`core.data` on the real data sets beside the repository."""
