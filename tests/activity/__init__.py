"""Tests of the activity: lists, exports, and the page of the hub."""
