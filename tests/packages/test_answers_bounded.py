"""Tests of the maximum size, memory and queries of a response, on all routes, with the largest legal package."""

import json
import tracemalloc
from collections.abc import Iterator
from copy import copy
from importlib import import_module
from typing import Any

import orjson
import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from channels_app.models import AboutDocument, Artifact, Channel, Package, PackageDependency
from channels_app.packages import about, packages
from channels_app.rate_limits.counters import LIMITS
from channels_app.rest import document as openapi
from channels_app.ui import markdown
from hub.sizes import MIB
from publishing.index import repodata
from tests.access.test_matrix import address, is_admins
from tests.callers import CALLERS, make_world
from tests.largest import about_json, index_json, make_largest, run_exports, size, text
from tests.routes import every_route

pytestmark = pytest.mark.django_db

ANSWER_MAX_BYTES = MIB
# Above the memory in use before; most of it goes to the parsers of templates and JSON.
MEMORY_MAX_BYTES = 12 * MIB
QUERIES_MAX = 40
BUILDS = 6
QUERIES = ["", "?files=all", "?versions=all&dependents=all", "?version=1.0", "?page=1&q=huge", "?q=huge"]
# These stream stored documents; see test_raw_documents_come_in_pieces.
RAW = "artifact-document"


@pytest.fixture
def world(settings: Settings) -> None:
    """Create the world of the matrix, with files of the largest size and a version of many builds."""
    settings.HUB_RATE_LIMITS = dict.fromkeys(LIMITS, 10**6)
    openapi.document()  # a process makes it once, and keeps it
    make_world()
    channel = Channel.objects.get(name="open")
    make_largest(channel, "pack", builds=BUILDS)
    package = Package.objects.get(channel=channel, name="pack")
    packages.refresh(package)
    names = [f"p{number}{'x' * 55}" for number in range(1500)]
    others = Package.objects.bulk_create(Package(channel=channel, name=name) for name in names)
    PackageDependency.objects.bulk_create(PackageDependency(package=other, name="pack") for other in others)


def measured(client: Client, path: str) -> tuple[Any, int, int]:
    """Return the response, the peak of memory, and the number of queries."""
    import_module(django_settings.ROOT_URLCONF)  # not part of any request but the first of a process
    tracemalloc.start()
    try:
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(path)
        return answer, tracemalloc.get_traced_memory()[1], len(queries)
    finally:
        tracemalloc.stop()


def routes() -> Iterator[str]:
    for route in every_route():
        if not is_admins(route) and not route.startswith("/") and route != RAW:
            yield route


@pytest.mark.parametrize("caller", ["anon", "admi"])
def test_every_answer_is_bounded(world: None, caller: str) -> None:
    client = CALLERS[caller]()
    client.raise_request_exception = False
    for route in routes():
        path = (
            file_address(route)
            if "/artifacts/<" in every_route()[route]
            else address(route, "open" if caller == "anon" else "demo")
        )
        for query in QUERIES if caller == "anon" and answers_differ(route) else [""]:
            answer, memory, queries = measured(client, path + query)
            # Packages of this world have rows, but no bytes in the store.
            has_no_bytes = answer.headers.get("X-Error-Code") == "store_unavailable"
            assert answer.status_code < 500 or has_no_bytes, (path, query)
            if answer.streaming:
                continue
            assert len(answer.content) <= ANSWER_MAX_BYTES, (path, query, len(answer.content))
            assert memory <= MEMORY_MAX_BYTES, (path, query, memory)
            assert queries <= QUERIES_MAX, (path, query, queries)


def file_address(route: str, *more: str) -> str:
    artifact = Artifact.objects.filter(channel__name="open").order_by("pk").last()
    assert artifact is not None
    return reverse(route, args=["open", artifact.subdir, artifact.file_name, *more])


def answers_differ(route: str) -> bool:
    return route.removeprefix("rest:") in ("artifact", "package", "channel", "channels", "search")


def test_raw_documents_come_in_pieces(world: None) -> None:
    for document in ("index.json", "about.json", "run_exports.json", "files.json", "licences.json", "recipe.json"):
        answer, memory, _ = measured(Client(), file_address(RAW, document))
        assert answer.status_code == 200, document
        assert answer.streaming, document
        chunks = list(answer.streaming_content)
        assert max(map(len, chunks)) <= 4 * 64 * 1024, document
        json.loads(b"".join(chunks))
        assert answer.headers["Content-Type"] == "application/json", document
        assert answer.headers["X-Content-Type-Options"] == "nosniff", document
        assert answer.headers["Content-Disposition"].startswith("attachment"), document
        assert memory <= MEMORY_MAX_BYTES, document


def test_the_whole_about_json_is_to_be_had(world: None) -> None:
    chunks: Any = Client().get(file_address(RAW, "about.json"))
    assert json.loads(b"".join(chunks.streaming_content)) == about_json()


def test_about_document_in_the_row_is_bounded(world: None) -> None:
    assert size(about_json()) > 3 * MIB
    assert size(about.stored(about_json())) < 64 * 1024
    assert AboutDocument.objects.count() == 1


def test_raw_documents_of_a_private_channel_are_as_nowhere(world: None) -> None:
    path = address("artifact", "demo") + "/documents/index.json"
    statuses = {caller: CALLERS[caller]().get(path).status_code for caller in ("anon", "stra", "view")}
    assert statuses == {"anon": 404, "stra": 404, "view": 200}
    assert CALLERS["owne"]().get(file_address(RAW, "paths.json")).status_code == 404


def test_each_package_adds_little_to_channeldata(world: None) -> None:
    rows = list(Artifact.objects.filter(channel__name="open")) * 5
    rows = [copy(row) for row in rows]
    for number, row in enumerate(rows):
        row.version = str(number)
        row.run_exports = {"weak": [f"pack >={number}", *["x" * 900] * 20]}
    fragment = repodata.channeldata_fragment("pack", rows)
    assert len(fragment.encode()) < 128 * 1024
    kept = orjson.loads(f"{{{fragment}}}")["pack"]["run_exports"]
    assert "29" in kept
    assert "0" not in kept


def test_a_record_adds_no_more_than_its_document(world: None) -> None:
    row = Artifact.objects.filter(channel__name="open").first()
    assert row is not None
    assert len(orjson.dumps(repodata.record(row))) <= size(index_json()) + 2048


@pytest.mark.parametrize(
    "description",
    [
        "[a]: https://example.org/" + "x" * 5000 + "\n\n" + "[a]" * 1600,
        "[a]: https://example.org/ '" + "x" * 5000 + "'\n\n" + "[a][a]" * 800,
        "|" * 3000 + "\n" + "|-" * 1500 + "|\n" + "|\n" * 2000,
        "|a" * 100 + "|\n" + "|-" * 100 + "|\n" + "|\n" * 4000,
        "# \n" * 3300,
        "- " * 5000,
        "> " * 5000,
        "*a*" * 3300,
        text(10_000),
        "`a`" * 3300,
        "&quot;" * 1600,
        "<https://a.b>" * 700,
    ],
    ids=range(12),
)
def test_a_description_makes_no_more_than_a_page(description: str) -> None:
    html = markdown.render(description)
    assert len(html) <= markdown.HTML_MAX_CHARACTERS + 10 * markdown.MAX_CHARACTERS
    assert len(html.encode()) <= 400 * 1024


def test_a_description_is_rendered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"# once {django_settings.SECRET_KEY[:8]}"
    html = markdown.render(text)
    monkeypatch.setattr(markdown, "_parser", None)
    assert markdown.render(text) == html


def test_references_are_still_links() -> None:
    assert 'href="https://example.org/x"' in markdown.render("[a]: https://example.org/x\n\n[a] and [b][a]")


def test_short_documents_stay_whole_in_their_rows() -> None:
    said = {"summary": "s", "extra": {"recipe-maintainers": ["a"] * 50}}
    assert about.stored(said) is said
    assert run_exports()
