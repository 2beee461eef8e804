"""Patches of a channel (hotfixes): they change repodata records and leave the packages as they are."""
