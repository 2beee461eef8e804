"""The scheduler (Celery beat), which sends no job to a queue that is full."""

from typing import Any

from celery.beat import ScheduleEntry
from celery.beat import Scheduler as CelerysScheduler

from hub.queue import queues


class Scheduler(CelerysScheduler):
    def apply_async(self, entry: ScheduleEntry, *args: Any, **options: Any) -> Any:
        queue = self.app.amqp.router.route({}, entry.task or "")["queue"].name
        return None if queues.is_full(queue) else super().apply_async(entry, *args, **options)
