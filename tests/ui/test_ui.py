"""Tests of template tags: words for states, times, pictures."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from channels_app.models import Channel, User
from channels_app.templatetags import ui


def test_pill_shows_the_state_with_its_class() -> None:
    assert ui.pill("private").startswith('<span class="pill warning"><svg class="icon"')
    assert ui.pill("private").endswith("</svg>Private</span>")
    assert ui.pill("indexed", "Indexed in 0.4 s").endswith("</svg>Indexed in 0.4 s</span>")


def test_pill_of_an_unknown_state_is_plain_and_escaped() -> None:
    assert ui.pill("<b>") == '<span class="pill">&lt;b&gt;</span>'


@pytest.mark.parametrize(
    ("passed", "words"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(minutes=4), "4 min ago"),
        (timedelta(hours=23, minutes=59), "23 h ago"),
        (timedelta(hours=25), "yesterday"),
        (timedelta(days=29), "29 days ago"),
        (timedelta(days=31), "20 Oct 2026"),
    ],
)
def test_ago_shows_the_elapsed_time(monkeypatch: pytest.MonkeyPatch, passed: timedelta, words: str) -> None:
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: now)

    assert f">{words}</time>" in ui.ago(now - passed)


def test_a_time_carries_the_moment_itself_and_may_be_milliseconds_or_missing() -> None:
    assert 'datetime="2026-09-21T14:13:20+00:00" title="2026-09-21 14:13:20 UTC"' in ui.ago(1_790_000_000_000)
    assert ui.ago(None, "not yet") == "not yet"


def test_a_name_is_always_drawn_alike_and_others_differ() -> None:
    drawn = ui.logo(Channel(name="geo-tools"))

    assert drawn == ui.logo(Channel(name="geo-tools"))
    assert drawn["strands"] != ui.logo(Channel(name="geo-tool"))["strands"]
    assert (drawn["initial"], drawn["channel"], drawn["kind"]) == ("g", None, "")
    assert 0 <= drawn["hue"] < ui.HUES
    assert ui.avatar(User(username="geo-tools")) == drawn | {"kind": "avatar"}
