"""Pages and middleware of the whole site: home, errors, misplaced requests, well-known files, route limits."""
