"""Channels: create, configure, transfer, delete, and their names."""
