"""Publish attestations (CEP 27): content, verification, and the sidecars that carry them (CEP 50)."""
