"""Tests of channels' notices."""
