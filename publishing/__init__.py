"""Publishing: downloads, uploads, indexes, and the operation of a hub."""
