"""Trusted publishers, which publish from CI without a stored secret: issuers, token exchange, publishers and pages."""
