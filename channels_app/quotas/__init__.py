"""Quotas and limits for each user."""
