"""Publishing: everything that clients download, and everything that changes it."""
