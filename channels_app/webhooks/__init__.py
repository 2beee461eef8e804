"""Webhooks: signed notifications of a channel's events to other servers."""
