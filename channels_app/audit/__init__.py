"""The audit log, its descriptions, and its notifications by mail."""
