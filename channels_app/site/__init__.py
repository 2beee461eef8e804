"""Pages and middleware of the whole site: home, errors, well-known files, rate limits of routes."""
