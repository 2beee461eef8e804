"""Identity tokens of CI providers (OpenID Connect): verification, claims, and matching with publishers."""
