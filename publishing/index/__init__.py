"""The index files of a channel."""
