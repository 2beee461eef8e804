"""The Celery app, its schedule, and the two ways to send a job: `wake`, and `send` with arguments."""

import logging
import os
import warnings
from typing import Any

from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import beat_init, celeryd_init, worker_ready
from kombu.exceptions import OperationalError
from redis import RedisError

import hub.observability.job_metrics  # noqa: F401  (its receivers)
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
    "refresh-issuer-keys": {"task": "publishing.tasks.refresh_issuer_keys", "schedule": 600.0},
    # It does nothing while the last one is younger than a day.
    "refresh-trust-root": {"task": "publishing.tasks.refresh_trust_root", "schedule": 3600.0},
    "tell-waiting": {"task": "channels_app.tasks.tell_waiting", "schedule": 15.0},
    # Daily would do, but beat forgets at its start when it last sent a job.
    "warn-of-expiring-keys": {"task": "channels_app.tasks.warn_of_expiring_keys", "schedule": 3600.0},
    # A channel that was done this night is left out.
    "verify-channels": {"task": "publishing.tasks.verify_channels", "schedule": 600.0},
    "remove-leftovers": {"task": "publishing.tasks.remove_leftovers", "schedule": 600.0},
}
for entry in app.conf.beat_schedule.values():
    # What piled up while no worker was there does its work once.
    entry["options"] = {"expires": entry["schedule"] if isinstance(entry["schedule"], float) else DAY_S}


@worker_ready.connect
def wake_at_start(**_: Any) -> None:
    """What a worker that died left behind need not wait for the schedule."""
    wake("publishing.tasks.wake_stale_indexes")
    wake("channels_app.tasks.tell_waiting")
    send("publishing.tasks.refresh_trust_root")


def wake(task: str) -> None:
    """Queue the job `task`, which finds in the database what there is to do; not where enough jobs wait already.

    Call it after the commit. A wake-up that is lost only delays: the schedule sends the same.
    """
    try:
        if queues.is_full(app.amqp.router.route({}, task)["queue"].name):
            return
    except (RedisError, OSError) as error:
        logger.warning("could not look into the queue for %s, the schedule will wake: %s", task, error)
        return
    send(task)


def send(task: str, *args: int) -> bool:
    """Queue the job named `task`, and whether that could be done.

    A broker that is down only delays it: the schedule finds what was left undone.
    """
    try:
        app.send_task(task, args=args, retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("could not queue %s%s, the schedule will: %s", task, args, error)
        return False
    return True
