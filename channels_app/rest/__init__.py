"""The REST API: the parts that all of its endpoints share. Each room declares its endpoints in its own `api.py`."""
