"""Retention: rules by which a channel yanks, and later deletes, its old files."""
