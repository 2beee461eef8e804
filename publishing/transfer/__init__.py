"""Backups, copies of store and database, and imports of channels."""
