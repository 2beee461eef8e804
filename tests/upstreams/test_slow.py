"""Slow upstreams: they hold neither a worker nor the requests and polls of other channels."""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from channels_app.models import Channel, ChannelKind, User
from publishing.models import Upstream
from publishing.upstreams import source, sync
from tests.builders import make_channel
from tests.threads import at_once, shared_database
from tests.upstreams.fake import FakeUpstream, Spoiled, record
from tests.upstreams.fetches_in_tests import wait_for_fetches
from tests.upstreams.test_cache import body, get
from tests.upstreams.test_sync import poll

# Much less than the answers would take.
PATIENCE_S = 10


@pytest.mark.django_db
def test_poll_with_many_slow_answers_ends_in_bounded_time(
    mirror: Channel, forge: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "POLL_TIMEOUT_S", 1.0)
    forge.publish(*(record(f"lib{n}") for n in range(400)))
    for path in [each for each in forge.files if "shards/" in each]:
        forge.spoiled[path] = slowly(0.5, forge.files[path])
    began = time.monotonic()
    assert poll(mirror).error_code == "upstream_slow"
    assert time.monotonic() - began < PATIENCE_S


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("head", "repeated"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\nA: ", b"b"),
        (b"", b"H"),
    ],
)
def test_answer_of_a_byte_at_a_time_is_given_up(
    mirror: Channel, settings: Settings, monkeypatch: pytest.MonkeyPatch, head: bytes, repeated: bytes
) -> None:
    monkeypatch.setattr(source, "INDEX_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
        settings.HUB_INTERNAL_HOSTS = [host]
        Upstream.objects.update(url=f"http://{host}")
        threading.Thread(target=drip, args=(server, head, repeated), daemon=True).start()
        began = time.monotonic()
        assert poll(mirror).error_code == "upstream_slow"
        assert time.monotonic() - began < PATIENCE_S


def drip(server: socket.socket, head: bytes, repeated: bytes) -> None:
    connection, _ = server.accept()
    with connection, suppress(OSError):
        connection.sendall(head)
        for _ in range(1000):
            connection.sendall(repeated)
            time.sleep(0.05)


@pytest.mark.django_db(transaction=True)
def test_slow_packages_of_a_channel_leave_fetches_to_another(
    mirror: Channel, forge: FakeUpstream, olga: User, tmp_path: Path
) -> None:
    other = make_channel("other", owner=olga, is_private=False, kind=ChannelKind.UPSTREAM)
    Upstream.objects.create(channel=other, url=forge.url, subdirs=["noarch"])
    forge.publish(forge.add_package("numpy", b"n"), *(forge.add_package(f"lib{n}", b"x") for n in range(20)))
    poll(mirror)
    poll(other)
    slow = [f"noarch/lib{n}-1.0-0.conda" for n in range(20)]
    for path in slow:
        forge.spoiled[path] = slowly(3.0, b"x")
    with shared_database(tmp_path):
        found = at_once(numpy_of_other, *(partial(get, path) for path in slow))
    assert b"n" in found
    wait_for_fetches()


def numpy_of_other() -> bytes:
    time.sleep(1)
    return body(get("noarch/numpy-1.0-0.conda", "other"))


@pytest.mark.django_db(transaction=True)
def test_slow_polls_leave_workers_to_other_jobs(mirror: Channel) -> None:
    ended, held = threading.Event(), threading.Semaphore(0)
    threads = [threading.Thread(target=hold_turn, args=(held, ended)) for _ in range(2)]
    for thread in threads:
        thread.start()
        assert held.acquire(timeout=5)
    assert not sync.sync(mirror.pk)
    ended.set()
    for thread in threads:
        thread.join()
    assert sync.sync(mirror.pk)


def hold_turn(held: threading.Semaphore, ended: threading.Event) -> None:
    with sync._turn():
        held.release()
        ended.wait(10)
    connection.close()


@pytest.mark.django_db
def test_jobs_of_due_upstreams_begin_with_the_one_that_waits_longest(
    olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr(sync, "send", lambda task, pk: sent.append(pk))
    pks = []
    for n, hours in enumerate([1, 3, None, 2]):
        channel = make_channel(f"due{n}", owner=olga, kind=ChannelKind.UPSTREAM)
        at = None if hours is None else timezone.now() - timedelta(hours=hours)
        Upstream.objects.create(channel=channel, url="https://example.org", subdirs=["noarch"], polled_at=at)
        pks.append(channel.pk)
    sync.send_due()
    assert sent == [pks[2], pks[1], pks[3], pks[0]]


def slowly(seconds: float, content: bytes) -> Callable[[], Spoiled]:
    def answer() -> Spoiled:
        time.sleep(seconds)
        return 200, {}, content

    return answer
