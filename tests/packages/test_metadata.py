"""Tests of package metadata: any form is shown, and none is active."""

import re
from urllib.parse import quote

import pytest
from django.test import Client

from channels_app.models import Channel, Package, User
from channels_app.packages import metadata
from channels_app.packages.metadata import Link
from channels_app.templatetags.packages import outside, size
from tests.browsing import artifact_url, page, publish
from tests.builders import make_channel
from tests.pages import signed_in

pytestmark = pytest.mark.django_db

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\"' onmouseover=alert(1) x='"
EVIL_NAME = "<img src=x onerror=alert(1)>"
EVIL_ADDRESSES = (
    *("javascript:alert(1)", "JAVASCRIPT:alert(1)", "\tjavascript:alert(1)", "java\nscript:alert(1)", "//evil.example"),
    *("data:text/html,<script>alert(1)</script>", "vbscript:x", "/accounts/logout", "https:evil", "http://[::1", ""),
    *(
        "https://here.example@evil.example/",
        "https://here.example\\@evil.example/",
        "https://a.example/ x",
        "ftp://a.b",
    ),
    # A slash that is none: the host is another one.
    *("https://github.com\u2044login.evil.example/", "https://github.com\u2215a.evil.example/", "https://\u00e9..com/"),
)


@pytest.fixture
def open_channel(olga: User) -> Channel:
    return make_channel("open", owner=olga, is_private=False, description="For everyone")


def test_package_texts_are_shown_without_active_content(open_channel: Channel, olga: User) -> None:
    about = dict.fromkeys(("summary", "description", "license", "home", "doc_url", "dev_url", "source_url", "x"), EVIL)
    index = {
        "license": EVIL,
        "depends": [f"{EVIL} >=1", EVIL],
        "constrains": [EVIL],
        "arch": EVIL,
        EVIL: EVIL,
        "x": {EVIL: [EVIL]},
    }
    artifact = publish(
        open_channel,
        about_json=about,
        index_json=index,
        run_exports={EVIL: [EVIL]},
        features=[EVIL],
        warnings=[EVIL],
        files=[[EVIL, 1]],
        file_count=1,
        removal_reason=EVIL,
    )
    named = publish(open_channel, EVIL_NAME, "1.0", EVIL_NAME, subdir=EVIL_NAME)
    Package.objects.update(summary=EVIL, latest_version="1.0")
    Channel.objects.filter(pk=open_channel.pk).update(description=EVIL)
    urls = ["/channels/open", "/channels/open/packages/demo?version=" + quote(EVIL), artifact_url(artifact)]
    urls += [f"/channels/open/packages/{quote(EVIL_NAME)}", quote(artifact_url(named))]

    for client in (Client(), signed_in(olga)):
        for url in urls:
            assert_nothing_active(page(client, url))


def test_no_address_leads_where_it_must_not(open_channel: Channel, client: Client) -> None:
    about = {
        "home": list(EVIL_ADDRESSES),
        "doc_url": "https://fine.example/",
        "description": "\n\n".join(EVIL_ADDRESSES),
    }
    artifact = publish(open_channel, about_json=about)

    for url in ("/channels/open/packages/demo", artifact_url(artifact)):
        found = page(client, url)
        assert_nothing_active(found)
        assert set(re.findall(r'href="([^"]*)" rel="nofollow ugc noopener"', found)) == {"https://fine.example/"}


def assert_nothing_active(found: str) -> None:
    tags = re.findall(r"<[a-zA-Z](?:\"[^\"]*\"|[^>\"])*>", found)
    scripts = [tag for tag in tags if tag.startswith("<script")]
    assert all(
        re.match(r'<script (type="module" )?src="/static/(js|vendor)/[\w.]+\.js"( defer)?>', tag) for tag in scripts
    )
    bare = [re.sub(r'"[^"]*"', '""', tag) for tag in tags]
    assert not [tag for tag in bare if re.search(r"\s(on\w+|style)\s*=", tag) or tag.startswith(("<style", "<iframe"))]
    assert not [tag for tag in tags if tag.startswith("<img") and 'class="logo' not in tag]
    assert not re.search(r'(?:href|src|action)="\s*(?:javascript|data|vbscript):', found, re.IGNORECASE)


@pytest.mark.parametrize("text", EVIL_ADDRESSES)
def test_web_address_of_other_schemes_is_dropped(text: str) -> None:
    assert metadata.web_address(text) == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://\u0430\u0440\u0440\u04cf\u0435.com/x", "https://xn--80ak6aa92e.com/x"),
        ("https://evil.com\u3002apple.com/", "https://evil.com.apple.com/"),
        ("http://B\u00fccher.example:8080/\u00fc?a#b", "http://xn--bcher-kva.example:8080/\u00fc?a#b"),
        ("https://stra\u00dfe.example", "https://xn--strae-oqa.example"),
        ("https://fine.example/\u00fc", "https://fine.example/\u00fc"),
    ],
)
def test_a_host_of_another_script_reads_as_browsers_ask_for_it(text: str, shown: str) -> None:
    assert metadata.web_address(text) == shown
    (link,) = metadata.links({"home": text})
    assert (link.href, link.text) == (shown, shown.removeprefix("https://").removeprefix("http://").rstrip("/"))


def test_links_of_any_json_type_are_accepted() -> None:
    about = {
        "home": "https://a.example/",
        "doc_url": ["http://b.example/x/", 3, None],
        "dev_url": {"a": "b"},
        "source_url": "git it",
    }

    assert metadata.links(about) == [
        Link("Home", "a.example", "https://a.example/"),
        Link("Documentation", "b.example/x", "http://b.example/x/"),
        Link("Source", "git it", ""),
    ]
    assert outside(Link("Home", "<b>", "")) == "<b>"
    assert outside(Link("Home", "<b>", 'https://a.example/"')).startswith('<a href="https://a.example/&quot;" rel=')


@pytest.mark.parametrize(
    ("value", "text"),
    [("MIT", "MIT"), (["MIT", "BSD"], "MIT, BSD"), (None, ""), (3, ""), ({"a": 1}, ""), (" a \n b ", "a b")],
)
def test_words_of_any_json_type_are_accepted(value: object, text: str) -> None:
    assert metadata.words(value) == text


@pytest.mark.parametrize(
    ("timestamp", "milliseconds"),
    [
        (1_700_000_000_000, 1_700_000_000_000),
        (1_700_000_000, 1_700_000_000_000),
        *[(nothing, None) for nothing in (0, -5, True, None, "1700000000000", 1.5)],
    ],
)
def test_built_at_in_seconds_or_milliseconds(timestamp: object, milliseconds: int | None) -> None:
    assert metadata.built_at_ms({"timestamp": timestamp}) == milliseconds


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (12_800, "12.5 KiB"),
        (102_399, "100 KiB"),
        (2**20 - 1, "1 MiB"),
        (2**31, "2 GiB"),
        (5 * 2**50, "5120 TiB"),
    ],
)
def test_size_of_a_file_is_shown_in_units(size_bytes: int, text: str) -> None:
    assert f">{text}</span>" in size(size_bytes)
