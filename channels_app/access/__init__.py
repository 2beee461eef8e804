"""Access rules: roles, permissions, and acts that need a stronger check."""
