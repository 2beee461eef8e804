"""Tests of the rate limit counters."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from pytest_django import Settings

from channels_app.models import RateCount
from channels_app.rate_limits import counters
from hub.errors import HubError
from hub.http.middleware import client_address
from tests.threads import at_once, shared_database

pytestmark = pytest.mark.django_db

THREADS = 40
NAME, WHAT = "mint-by-address", "exchanges of tokens from this address"
WINDOW_BEGINS = 1_800_000_000


@pytest.fixture(autouse=True)
def most(settings: Settings) -> int:
    """Set the limit of these tests."""
    settings.HUB_RATE_LIMITS = {NAME: 3}
    return 3


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Set the clock of the counters to 20 seconds into a window. Tests can change `now`."""
    clock = SimpleNamespace(now=WINDOW_BEGINS + 20.5)
    clock.time = lambda: clock.now
    monkeypatch.setattr(counters, "time", clock)
    return clock


def hits(count: int, by: str = "10.0.0.1", name: str = NAME) -> None:
    for _ in range(count):
        counters.hit(name, by, WHAT)


def test_so_many_are_allowed_and_no_more(most: int) -> None:
    hits(most)
    with pytest.raises(HubError) as caught:
        hits(1)
    assert (caught.value.status, caught.value.code) == (429, "too_many")
    assert caught.value.detail == (
        "Too many exchanges of tokens from this address: more than 3 within 60 seconds. Try again in 40 seconds."
    )
    assert caught.value.headers == {"Retry-After": "40"}


def test_refused_tries_do_not_prolong_the_wait(most: int, clock: SimpleNamespace) -> None:
    hits(most)
    for clock.now in (WINDOW_BEGINS + 30, WINDOW_BEGINS + 59.9):
        with pytest.raises(HubError):
            hits(1)
    clock.now = WINDOW_BEGINS + 60
    hits(most)


@pytest.mark.parametrize(("second", "wait_s"), [(0, "60"), (0.9, "60"), (1, "59"), (59.9, "1")])
def test_wait_is_until_the_window_ends(most: int, clock: SimpleNamespace, second: float, wait_s: str) -> None:
    clock.now = WINDOW_BEGINS + second
    hits(most)
    with pytest.raises(HubError) as caught:
        hits(1)
    assert caught.value.headers["Retry-After"] == wait_s


@pytest.mark.parametrize("other", ["10.0.0.2", "10.0.0.1 ", "", "2001:db8::1"])
def test_everybody_is_counted_separately(most: int, other: str) -> None:
    hits(most)
    hits(most, by=other)
    with pytest.raises(HubError):
        hits(1, by=other)


def test_long_names_that_begin_alike_are_counted_separately(most: int) -> None:
    group = "1 project_path:" + "group/" * 60
    hits(most, by=f"{group}ours")
    hits(most, by=f"{group}theirs")
    with pytest.raises(HubError):
        hits(1, by=f"{group}ours")


def test_limits_are_counted_separately(most: int) -> None:
    hits(most)
    hits(most, name="mint-by-subject")


@pytest.mark.parametrize(("name", "most"), [("mint-by-address", 60), ("mint-by-subject", 30)])
def test_limits_without_a_setting(settings: Settings, name: str, most: int) -> None:
    settings.HUB_RATE_LIMITS = {}
    hits(most, name=name)
    with pytest.raises(HubError, match=f"more than {most} within 60 seconds"):
        hits(1, name=name)


def test_counts_of_windows_that_are_over_are_forgotten(clock: SimpleNamespace) -> None:
    hits(1, by="before")
    clock.now = WINDOW_BEGINS + 60.5
    hits(1, by="now")
    counters.delete_old()
    assert [count.window for count in RateCount.objects.all()] == [WINDOW_BEGINS + 120]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "192.0.2.8", "192.0.2.7"),
        (1, "", "192.0.2.7"),
        (1, "nonsense", "192.0.2.7"),
        (1, "192.0.2.8", "192.0.2.8"),
        (1, "made up, 192.0.2.8", "192.0.2.8"),
        (2, "made up, 192.0.2.8, 192.0.2.9", "192.0.2.8"),
        (2, "192.0.2.9", "192.0.2.7"),
        (1, "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
    ],
)
def test_address_is_taken_from_trusted_proxies(settings: Settings, proxies: int, forwarded: str, address: str) -> None:
    settings.HUB_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.7", headers={"X-Forwarded-For": forwarded})
    client_address(lambda _: HttpResponse())(request)
    assert counters.address(request) == address


@pytest.mark.django_db(transaction=True)
def test_no_count_is_lost(settings: Settings, tmp_path: Path) -> None:
    settings.HUB_RATE_LIMITS = {NAME: 25}
    with shared_database(tmp_path):
        results = at_once(*[lambda: hits(1)] * THREADS)
        counted = at_once(lambda: [count.count for count in RateCount.objects.all()])
    assert (results.count(None), results.count("too_many")) == (25, THREADS - 25)
    assert counted == [[THREADS]]


def test_the_documentation_has_every_limit() -> None:
    """Compare docs/operating.md with the table, in the same order."""
    text = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
    section = text.partition("\n## Limits\n")[2].partition("\n## ")[0]
    assert re.findall(r"`([a-z-]+-by-[a-z]+)`(?=[ ,])", section) == list(counters.LIMITS)
