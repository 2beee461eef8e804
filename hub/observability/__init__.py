"""Logs, metrics, health checks and error reports."""
