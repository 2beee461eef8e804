"""Compare database, index files and store, and repair differences."""
