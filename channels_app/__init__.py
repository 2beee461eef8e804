"""The app for users, channels, packages and permissions."""

from importlib import import_module
from types import ModuleType

# Migrations 0003, 0009, 0010 and 0016 import these modules by their former names.
FORMER_NAMES = {
    "about": "packages.about",
    "access_epoch": "migrations._access_epoch",
    "search_tables": "search.indexes",
}


def __getattr__(name: str) -> ModuleType:
    """Return the module that a migration imports by its former name."""
    if name not in FORMER_NAMES:
        raise AttributeError(f"module 'channels_app' has no attribute '{name}'")
    return import_module(f"channels_app.{FORMER_NAMES[name]}")
