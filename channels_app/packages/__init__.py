"""Packages: their pages, metadata, feeds and download counts."""
