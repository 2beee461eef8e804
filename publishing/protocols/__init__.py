"""Protocols of clients for uploads and tokens, one module each with its `PROTOCOL`."""
