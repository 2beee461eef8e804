"""The checks of an uploaded archive, one module per layer; the entry point is `publishing.archive.reader.read`."""
