"""PURE: what an uploaded archive must be, one rule after another; `publishing.package` is the way in."""
