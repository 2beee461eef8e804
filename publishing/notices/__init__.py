"""Notices of a channel (CEP 6), which clients show to everybody who installs from it."""
