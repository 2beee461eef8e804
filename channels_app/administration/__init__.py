"""The administration: its site and the admin pages of users."""
