"""PURE: identity tokens of CI providers (OpenID Connect) → signed claims → which publisher they are."""
