"""Permissions, roles and acts: the rules of who may do what."""
