"""PURE: what an uploaded archive must be, one rule after another; `publishing.archive.reader` is the way in."""
