"""Pages and API of API keys."""
