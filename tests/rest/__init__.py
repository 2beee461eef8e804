"""Tests of the REST API: the shared parts of its endpoints, and each endpoint."""
