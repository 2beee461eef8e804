"""Channels that watch their own prefix of the store, and adopt the packages that others put there."""
