"""Upload and token protocols, one file each."""
