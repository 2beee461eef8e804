"""Settings, wiring, and modules that depend on neither app."""

VERSION = "0.1.0.dev0"
