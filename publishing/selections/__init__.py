"""Selections: files of a channel that are chosen by ticks or filters, and changed by one act."""
