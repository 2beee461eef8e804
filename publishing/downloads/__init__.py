"""Downloads: every file below a channel's URL."""
