"""Tests of selections of files."""
