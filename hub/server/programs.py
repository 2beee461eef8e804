"""Commands of the hub's programs. This module does not import Django."""

# Celery's own variable, for programs that start after a command has run Django's checks: they take half of a start.
CHECKED = {"CELERY_SKIP_CHECKS": "true"}
CELERY = ("celery", "--app", "hub", "--quiet")
BEAT = [*CELERY, "beat", "--scheduler", "hub.queue.schedule:Scheduler", "--loglevel", "warning", "--pidfile="]


def web(address: str) -> list[str]:
    """Return the command of a web process that listens on `address`."""
    return ["gunicorn", "--config", "python:hub.server.gunicorn_conf", "--bind", address, "hub.wsgi"]


def worker(*options: str) -> list[str]:
    """Return the command of a worker. Without the option `--queues`, it runs the jobs of all queues."""
    return [
        *CELERY, "worker", *options, "--pool", "threads", "--concurrency", "4", "--loglevel", "warning",
        "--without-gossip", "--without-mingle", "--without-heartbeat",
    ]  # fmt: skip
