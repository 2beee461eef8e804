"""The administration: its site, and the pages of users."""
