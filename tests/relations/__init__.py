"""Tests of relations between channels."""
