"""Search over packages and channels."""
