"""Publish attestations (CEP 27): what they say, whether it holds, and the sidecars that carry them (CEP 50)."""
