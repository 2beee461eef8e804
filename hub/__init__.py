"""Wiring, and a few leaf modules that know no domain."""

VERSION = "0.1.0.dev0"
