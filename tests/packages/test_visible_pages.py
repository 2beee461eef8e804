"""Tests of invisible and bidirectional characters: every page shows their numbers."""

import html
import io
import re
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
from django.core.management import call_command, get_commands, load_command_class
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from channels_app.models import Artifact, Channel, Package, User
from hub import commands
from hub.commands import PlainOutput
from hub.http.visible_pages import show_invisible_characters
from hub.plain_text import UNSEEN
from hub.storage.probes import ProbeOutcome, ProbeResult
from tests.access.test_matrix import address, is_admins
from tests.callers import CALLERS, make_world
from tests.routes import every_route

pytestmark = pytest.mark.django_db

EVIL = "\u202egpj.exe\u2066\u200b\u200d\ufeff\xad\x1b[2J\U000e0041"
SHOWN = "[U+202E]gpj.exe[U+2066][U+200B][U+200D][U+FEFF][U+00AD][U+001B][2J[U+E0041]"


@pytest.fixture
def evil_world() -> None:
    """Create a hub with such characters in every field."""
    make_world()
    User.objects.update(first_name=EVIL[:20], last_name=EVIL[:20])
    Channel.objects.update(description=EVIL)
    Package.objects.update(summary=EVIL)
    Artifact.objects.update(
        files=[[EVIL, 1]],
        file_count=1,
        licences=[[EVIL, EVIL]],
        warnings=[EVIL],
        about_json={"summary": EVIL, "description": f"# {EVIL}\n\n&#x202e; `{EVIL}`", "license": EVIL, "home": EVIL},
        index_json={"license": EVIL, "depends": [f"x {EVIL}"], "constrains": [EVIL], EVIL: EVIL},
        run_exports={"weak": [EVIL]},
        removal_reason=EVIL,
        provenance={"repository": EVIL, "provider": EVIL, "ref": EVIL, "commit": EVIL, "environment": EVIL},
    )


def test_pages_contain_no_invisible_character(evil_world: None) -> None:
    routes = [route for route in every_route() if not is_admins(route) and not route.startswith("/")]
    paths = {address(route, channel) for route in routes for channel in ("demo", "open")}
    for caller in ("anon", "owne", "admi"):
        client = CALLERS[caller]()
        for path in sorted(paths):
            answer = client.get(path)
            if answer.headers.get("Content-Type", "").startswith(("text/html", "application/atom+xml")):
                assert not UNSEEN.search(answer.content.decode()), (caller, path)


@pytest.mark.parametrize("path", ["/channels/demo", "/channels/demo/packages/pack", "/channels/demo/feed",
                                  "/channels/demo/artifacts/noarch/pack-1.0-0.conda"])  # fmt: skip
def test_invisible_characters_are_shown_as_numbers(evil_world: None, path: str) -> None:
    text = CALLERS["owne"]().get(path).content.decode()
    # Feeds leave out characters that XML can't represent.
    assert (SHOWN if "feed" not in path else SHOWN.replace("[U+001B]", "")) in text


def test_form_with_invisible_characters_is_stored_unchanged(client: Client) -> None:
    make_world()
    said = f"فا\u202e 👩\u200d💻 {EVIL}"
    kept = said.replace("\x1b", "")
    Channel.objects.update(description=kept)
    page = CALLERS["owne"]().get("/channels/demo/settings").content.decode()
    assert not UNSEEN.search(page)
    field = re.search(r"<(?:textarea|input)[^>]*name=\"description\"[^>]*>([^<]*)", page)
    assert field
    assert kept in html.unescape(field[0])


def test_search_results_and_queries_are_shown(evil_world: None) -> None:
    text = Client().get("/search", {"q": "\u202eabc"}).content.decode()
    assert "[U+202E]abc" in text


def test_other_answers_are_left_alone() -> None:
    for content_type in ("application/json", "text/plain", "application/octet-stream", "text/css"):
        answer = show_invisible_characters(partial(_answer, content_type))(RequestFactory().get("/"))
        assert isinstance(answer, HttpResponse)
        assert answer.content.decode() == "a\u202eb"


def _answer(content_type: str, _: HttpRequest) -> HttpResponse:
    return HttpResponse("a\u202eb", content_type=content_type)


def test_content_length_equals_the_sent_bytes(evil_world: None) -> None:
    answer = CALLERS["owne"]().get("/channels/demo/packages/pack")
    assert int(answer.headers["Content-Length"]) == len(answer.content)


def test_commands_print_invisible_characters_as_numbers() -> None:
    stream = io.StringIO()
    output = PlainOutput(stream)
    output.write(f"a\tb\n{EVIL}")
    assert stream.getvalue() == "a\tb\n\\u202egpj.exe\\u2066\\u200b\\u200d\\ufeff\\xad\\x1b[2J\\U000e0041\n"


def test_every_own_command_prints_plain_text() -> None:
    own = {name: app for name, app in get_commands().items() if app in ("channels_app", "publishing")}
    assert own
    for name, app in own.items():
        assert isinstance(load_command_class(app, name), commands.Command), name


def test_a_command_that_quotes_does(monkeypatch: pytest.MonkeyPatch) -> None:
    finding: Any = ProbeResult("put", ProbeOutcome.WORKS, EVIL)
    monkeypatch.setattr("publishing.management.commands.checkstore.check", lambda _: iter([finding]))
    stream = io.StringIO()
    call_command("checkstore", stdout=stream)
    assert r"\u202egpj.exe" in stream.getvalue()
    assert not UNSEEN.search(stream.getvalue())


@pytest.mark.parametrize(
    "place", ["/{}", "/open/{}", "/open/noarch/{}", "/open/{}/x.conda", "/channels/{}", "/api/v1/{}"]
)
@pytest.mark.parametrize("text", ["\x1b[31m", "x\r\nx", "\u202e", "\x9b2J"])
def test_no_plain_sentence_holds_one(evil_world: None, place: str, text: str) -> None:
    """Clients print answers to terminals."""
    for method in ("get", "put", "delete"):
        sentence = getattr(Client(), method)(place.format(quote(text))).content.decode()
        assert sentence.count("\n") <= 1 or "<!doctype html>" in sentence
        assert not UNSEEN.search(sentence)
        assert "\r" not in sentence
