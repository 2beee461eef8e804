"""Tests of the REST API: what its endpoints share, and each endpoint."""
