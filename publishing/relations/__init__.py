"""Relations of a channel to other channels (CEP 42), which clients load with it."""
