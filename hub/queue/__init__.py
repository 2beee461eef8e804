"""The job queue: its transport without Redis, its length, its schedule."""
