"""Yank, delete, restore and release artifacts."""
