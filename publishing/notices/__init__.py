"""Notices of a channel (CEP 6). Clients show them to all that install from it."""
