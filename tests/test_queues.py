"""Which job goes into which queue, and what becomes of it with no worker there, or a dead one."""

from pathlib import Path

import pytest
from django.conf import settings
from kombu import Connection

from channels_app.tasks import RETRIES_MAX, RETRY_S
from hub.celery import app

OF_THE_INDEX = {"publishing.tasks.build_index", "publishing.tasks.open_channel", "publishing.tasks.wake_stale_indexes"}


def queue_of(task: str) -> str:
    found: str = app.amqp.router.route({}, task)["queue"].name
    return found


def test_every_job_has_its_queue() -> None:
    app.loader.import_default_modules()
    ours = {name for name in app.tasks if name.startswith(("publishing.", "channels_app."))}
    assert ours > OF_THE_INDEX
    for name in ours:
        expected = "index" if name in OF_THE_INDEX else "checks" if ".verify" in name else "housekeeping"
        assert queue_of(name) == expected, name


def test_a_worker_that_is_not_told_which_takes_all_queues() -> None:
    assert set(app.amqp.queues) == {"index", "checks", "housekeeping"}


def test_what_nobody_took_in_time_is_sent_again_by_the_schedule_not_piled_up() -> None:
    for entry in app.conf.beat_schedule.values():
        assert entry["options"]["expires"] <= 24 * 3600


def test_a_mail_that_waits_for_its_next_try_is_not_given_to_a_second_worker() -> None:
    """Redis hands out again what a worker has not acknowledged for so long."""
    if not settings.REDIS_URL:
        pytest.skip("there is no Redis here")
    longest_wait_s = RETRY_S * 2 ** (RETRIES_MAX - 1)
    assert settings.CELERY_BROKER_TRANSPORT_OPTIONS["visibility_timeout"] > longest_wait_s


def test_the_folder_keeps_queues_apart(tmp_path: Path) -> None:
    options = {"data_folder_in": str(tmp_path), "data_folder_out": str(tmp_path), "polling_interval": 0.01}
    with (
        Connection("folder://localhost", transport_options=options) as connection,
        connection.SimpleQueue("checks") as checks,
        connection.SimpleQueue("index") as index,
    ):
        checks.put("verify")
        index.put("build")
        checks.put("verify more")
        for queue, expected in ((index, ["build"]), (checks, ["verify", "verify more"])):
            for payload in expected:
                message = queue.get(timeout=5)
                message.ack()
                assert message.payload == payload
            with pytest.raises(queue.Empty):
                queue.get(timeout=0.05)
