"""Copies and moves of artifacts between channels, within the store."""
