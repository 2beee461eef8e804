"""Activity: the audit log of a channel, of an account and of the hub, as pages, lists and exports."""
