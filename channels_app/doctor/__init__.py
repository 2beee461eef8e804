"""The connection doctor: diagnose a failing command, key or address."""
