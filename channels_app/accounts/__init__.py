"""Accounts: sign-up, sign-in, second factors, sessions, and the hub as an OAuth provider."""
