"""Virtual channels: one address over several channels of the hub, in order, with rules of names."""
