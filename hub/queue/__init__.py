"""The job queue: its transport without Redis, its length and its schedule."""
