"""The first client of a package gets its bytes while they are fetched, and the whole package only if it is right."""

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event

import pytest
from django.http.response import HttpResponseBase
from django.test import Client
from pytest_django import Settings

from channels_app.models import Channel
from hub.storage import store
from publishing.models import CachedFile, UpstreamName
from publishing.upstreams import cache, judging
from publishing.upstreams.fetches import Fetch
from tests.threads import at_once, shared_database
from tests.upstreams.fake import FakeUpstream
from tests.upstreams.fetches_in_tests import wait_for_fetches
from tests.upstreams.test_cache import FILE, get
from tests.upstreams.test_sync import poll

BYTES = b"the package" * 3000
HALF = len(BYTES) // 2
WAIT_S = 10

committed = pytest.mark.django_db(transaction=True)


class Paced:
    """An answer of the upstream that ends only after `more` is set."""

    def __init__(self, forge: FakeUpstream, content: bytes = BYTES, size_bytes: int = len(BYTES)) -> None:
        self.more, self._content, self._size_bytes = Event(), content, size_bytes
        forge.spoiled[FILE] = self._answer

    def _answer(self) -> tuple[int, dict[str, str], Iterator[bytes]]:
        return 200, {"Content-Length": str(self._size_bytes)}, self._parts()

    def _parts(self) -> Iterator[bytes]:
        yield self._content[:HALF]
        assert self.more.wait(WAIT_S)
        yield self._content[HALF:]


@pytest.fixture
def package(mirror: Channel, forge: FakeUpstream) -> Channel:
    """Return the channel with one package, which is not yet in the cache."""
    forge.publish(forge.add_package("numpy", BYTES))
    poll(mirror)
    return mirror


def in_thread(folder: Path, scenario: Callable[[], object]) -> object:
    """Return the result of the scenario, whose requests see what other threads have committed."""
    with shared_database(folder):
        [result] = at_once(scenario)
        wait_for_fetches()
    return result


def first_half() -> tuple[Iterator[bytes], bytes]:
    """Return the rest of the body of a request, after its first half."""
    chunks, found = iter(get()), b""
    while len(found) < HALF:
        found += next(chunks)
    return chunks, found


def hide() -> None:
    UpstreamName.objects.update(hidden={FILE.partition("/")[2]: [judging.FILTERED, "A filter."]})


def others() -> list[object]:
    """Return the statuses of two more requests for the package."""
    return at_once(*[lambda: get().status_code] * 2)


@committed
def test_first_client_gets_the_first_bytes_before_the_upstream_sends_the_last(
    package: Channel, forge: FakeUpstream, tmp_path: Path
) -> None:
    paced = Paced(forge)

    def scenario() -> bytes:
        chunks, found = first_half()
        assert not paced.more.is_set()
        paced.more.set()
        return found + b"".join(chunks)

    assert in_thread(tmp_path, scenario) == BYTES
    assert forge.requests[FILE] == 1


@committed
@pytest.mark.parametrize("content", [BYTES[:-1] + b"x", BYTES[:-1]])
def test_first_client_of_a_wrong_package_gets_an_incomplete_answer_and_others_an_error(
    package: Channel, forge: FakeUpstream, tmp_path: Path, content: bytes
) -> None:
    paced = Paced(forge, content)
    received = bytearray()

    def scenario() -> list[object]:
        chunks, found = first_half()
        received.extend(found)
        paced.more.set()
        with pytest.raises(ConnectionResetError):
            deque(map(received.extend, chunks))
        return [*others(), CachedFile.objects.count()]

    assert in_thread(tmp_path, scenario) in ([502, 502, 0], [503, 503, 0])
    assert HALF <= len(received) < len(BYTES)


@committed
def test_package_whose_first_client_leaves_is_stored(package: Channel, forge: FakeUpstream, tmp_path: Path) -> None:
    paced = Paced(forge)

    def scenario() -> object:
        answer = get()
        answer.close()
        paced.more.set()
        return b"".join(get())

    assert in_thread(tmp_path, scenario) == BYTES
    assert forge.requests[FILE] == 1


@committed
def test_slow_first_client_holds_no_other_up(package: Channel, forge: FakeUpstream, tmp_path: Path) -> None:
    paced = Paced(forge)

    def scenario() -> tuple[list[object], bytes]:
        chunks, found = first_half()
        paced.more.set()
        statuses = others()
        return statuses, found + b"".join(chunks)

    assert in_thread(tmp_path, scenario) == ([200, 200], BYTES)


@committed
def test_package_that_is_hidden_while_its_first_client_reads_stays_incomplete(
    package: Channel, forge: FakeUpstream, tmp_path: Path
) -> None:
    paced = Paced(forge)

    def scenario() -> list[object]:
        chunks, _ = first_half()
        hide()
        paced.more.set()
        with pytest.raises(ConnectionResetError):
            deque(chunks)
        return others()

    assert in_thread(tmp_path, scenario) == [404, 404]
    assert forge.requests[FILE] == 1


@pytest.mark.django_db
@pytest.mark.parametrize("step", ["begin", "verified"])
@pytest.mark.parametrize("end", ["hidden", "deleted"])
def test_package_whose_record_ends_while_it_is_fetched_leaves_no_file_in_the_store(
    package: Channel, monkeypatch: pytest.MonkeyPatch, step: str, end: str
) -> None:
    monkeypatch.setattr(Fetch, step, lambda *_: hide() if end == "hidden" else UpstreamName.objects.all().delete())
    assert get().status_code == 404
    assert store().stat(f"mirror/{FILE}") is None


@committed
@pytest.mark.parametrize("delivery", ["stream", "accel"])
def test_range_of_an_uncached_package_waits_for_all_of_it(
    package: Channel, forge: FakeUpstream, tmp_path: Path, settings: Settings, delivery: str
) -> None:
    settings.HUB_DELIVERY = delivery

    def scenario() -> HttpResponseBase:
        return Client().get(f"/mirror/{FILE}", headers={"Range": "bytes=0-9"})

    answer = in_thread(tmp_path, scenario)
    assert isinstance(answer, HttpResponseBase)
    assert answer["Content-Range"] == f"bytes 0-9/{len(BYTES)}"
    assert ("X-Accel-Redirect" in answer) == (delivery == "accel")


@pytest.mark.django_db
@pytest.mark.parametrize("delivery", ["stream", "accel", "redirect"])
def test_head_of_an_uncached_package_states_it_without_a_fetch(
    package: Channel, forge: FakeUpstream, settings: Settings, delivery: str
) -> None:
    settings.HUB_DELIVERY = delivery
    answer = Client().head(f"/mirror/{FILE}")
    assert (answer.status_code, answer["Content-Length"], answer["Accept-Ranges"]) == (200, str(len(BYTES)), "bytes")
    assert Client().get(f"/mirror/{FILE}", headers={"If-None-Match": answer["ETag"]}).status_code == 304
    assert forge.requests[FILE] == 0
    b"".join(get())
    assert Client().head(f"/mirror/{FILE}")["ETag"] == answer["ETag"]


@committed
def test_unexpected_failure_of_a_fetch_reaches_the_requests_that_wait(
    package: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_download", lambda *_: 1 // 0)

    def scenario() -> str:
        with pytest.raises(ZeroDivisionError):
            get()
        return "raised"

    assert in_thread(tmp_path, scenario) == "raised"
