"""The REST API: what all of its endpoints share. Each room declares its endpoints in its own `api.py`."""
