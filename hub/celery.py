"""The Celery app, its schedule, and the functions that enqueue jobs: `wake`, and `send` with arguments."""

import logging
import os
import warnings
from typing import Any

from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import beat_init, celeryd_init, worker_ready
from kombu.exceptions import OperationalError
from redis import RedisError

import hub.observability.job_metrics
import hub.queue.folder_queue  # noqa: F401  (registers the queue of a hub without Redis)
from hub.private_files import be_private
from hub.queue import queues

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "hub.settings")

logger = logging.getLogger(__name__)

# Celery warns of root because of pickled messages. The hub's messages are JSON.
warnings.filterwarnings("ignore", category=SecurityWarning)

DAY_S = 24 * 3600


@celeryd_init.connect
@beat_init.connect
def start_privately(**_: Any) -> None:
    be_private()


app = Celery("hub")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "wake-stale-indexes": {"task": "publishing.tasks.wake_stale_indexes", "schedule": 15.0},
    "finish-promotions": {"task": "publishing.tasks.finish_promotions", "schedule": 15.0},
    "continue-imports": {"task": "publishing.tasks.continue_imports", "schedule": 15.0},
    "delete-expired-labels": {"task": "publishing.tasks.delete_expired_labels", "schedule": 60.0},
    "refresh-issuer-keys": {"task": "publishing.tasks.refresh_issuer_keys", "schedule": 600.0},
    # The job returns at once if the last refresh is younger than a day.
    "refresh-trust-root": {"task": "publishing.tasks.refresh_trust_root", "schedule": 3600.0},
    "tell-waiting": {"task": "channels_app.tasks.tell_waiting", "schedule": 15.0},
    "deliver-webhooks": {"task": "channels_app.tasks.deliver_webhooks", "schedule": 15.0},
    "retry-webhooks": {"task": "channels_app.tasks.retry_webhooks", "schedule": 15.0},
    # Daily would suffice, but beat forgets at a restart when it last sent a job.
    "warn-of-expiring-keys": {"task": "channels_app.tasks.warn_of_expiring_keys", "schedule": 3600.0},
    # The job skips channels that were verified this night.
    "verify-channels": {"task": "publishing.tasks.verify_channels", "schedule": 600.0},
    # A poll that is under way, or not yet due, makes the job return at once.
    "poll-upstreams": {"task": "publishing.tasks.poll_upstreams", "schedule": 15.0},
    "watch-prefixes": {"task": "publishing.tasks.watch_prefixes", "schedule": 30.0},
    "evict-cached-files": {"task": "publishing.tasks.evict_cached_files", "schedule": 60.0},
    # The job skips channels whose rules were applied this night. A run that was killed goes on with the next job.
    "apply-retention": {"task": "publishing.tasks.apply_retention", "schedule": 30.0},
    "remove-leftovers": {"task": "publishing.tasks.remove_leftovers", "schedule": 600.0},
}
for entry in app.conf.beat_schedule.values():
    # Jobs that piled up while no worker ran expire, so that one of them does the work.
    entry["options"] = {"expires": entry["schedule"] if isinstance(entry["schedule"], float) else DAY_S}


@worker_ready.connect
def wake_at_start(**_: Any) -> None:
    """Enqueue at the start of a worker the jobs that a killed worker left undone, before the schedule does."""
    wake("publishing.tasks.wake_stale_indexes")
    wake("channels_app.tasks.tell_waiting")
    send("publishing.tasks.finish_promotions")
    send("publishing.tasks.continue_imports")
    send("publishing.tasks.apply_retention")
    send("publishing.tasks.refresh_trust_root")


def wake(task: str) -> None:
    """Enqueue the job `task` unless enough jobs wait already; it finds its work in the database.

    Call it after the commit. A lost job only delays the work: the schedule sends the same one.
    """
    try:
        if queues.is_full(app.amqp.router.route({}, task)["queue"].name):
            return
    except (RedisError, OSError) as error:
        logger.warning("could not read the length of the queue for %s, the schedule will send it: %s", task, error)
        return
    send(task)


def send(task: str, *args: int) -> bool:
    """Enqueue the job named `task` with `args`. Return False if the broker refused it.

    The schedule sends jobs for work that was left undone, so a broker that is down only delays them.
    """
    try:
        app.send_task(task, args=args, retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("could not enqueue %s%s, the schedule will: %s", task, args, error)
        return False
    return True
