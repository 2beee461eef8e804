"""Upstream channels: the records of another channel, filtered by the hub, and its packages in a cache."""
