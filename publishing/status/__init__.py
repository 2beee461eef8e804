"""The status of the hub: health checks, failed jobs, metrics."""
