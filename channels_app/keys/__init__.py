"""API keys: pages, forms and API."""
