"""The audit log, its descriptions, and the mails that it sends."""
