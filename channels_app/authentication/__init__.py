"""Credentials: API keys, the actor behind a request, and cached access decisions."""
