"""Uploads: from a request to a published artifact."""
