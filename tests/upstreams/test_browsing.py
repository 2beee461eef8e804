"""Packages of upstream channels on pages, in the API and in searches, from the hub's own records alone."""

from typing import Any

import pytest
from django.test import Client

from channels_app.access.permissions import Permission
from channels_app.models import Channel, Package, User
from channels_app.packages import download_counts
from publishing.index import builds
from publishing.models import Upstream, UpstreamName
from publishing.upstreams import sync
from tests.pages import signed_in, text
from tests.rest.calls import by_key, by_session, code
from tests.upstreams.fake import FakeUpstream, record
from tests.upstreams.test_sync import poll
from tests.virtual.channels import build_all, make_virtual

pytestmark = pytest.mark.django_db
CHANNEL, PAGE = "/channels/mirror", "/channels/mirror/packages/numpy"
API = "channels/mirror"


@pytest.fixture
def filled(mirror: Channel, forge: FakeUpstream) -> Channel:
    """Return the channel with two platforms. numpy 1.0 is cached, numpy 2.0 is filtered, numpy 3.0 waits."""
    Upstream.objects.update(subdirs=["noarch", "linux-64"], filters={"exclude": ["numpy 2.*"]})
    numpy = forge.add_package("numpy", b"bytes of numpy")
    forge.publish(numpy, record("numpy", "2.0"), record("zlib"))
    forge.publish(record("numpy", "1.10", subdir="linux-64"), subdir="linux-64")
    poll(mirror)
    Client().get("/mirror/noarch/numpy-1.0-0.conda")
    Upstream.objects.update(cooldown_days=7)
    forge.publish(numpy, record("numpy", "2.0"), record("numpy", "3.0"), record("zlib"))
    poll(mirror)
    forge.requests.clear()
    return mirror


def shown(address: str, client: Client | None = None) -> str:
    answer = (client or Client()).get(address)
    assert answer.status_code == 200
    return text(answer).replace("<wbr>", "")


def get(address: str, user: User) -> Any:
    return by_key(user, Permission.READ).get(address).json()


def test_page_of_the_channel_lists_names_with_their_newest_listed_version(filled: Channel, forge: FakeUpstream) -> None:
    page = shown(CHANNEL)
    assert page.index("Upstream") < page.index("numpy")
    assert "1.10" in page
    assert "3.0" not in page
    assert "zlib" not in shown(f"{CHANNEL}?q=num")
    assert "zlib" not in shown(f"{CHANNEL}?platform=linux-64")
    assert "No packages match" in shown(f"{CHANNEL}?q=absent")
    assert not forge.requests


def test_page_of_a_name_shows_the_state_of_each_record(filled: Channel, forge: FakeUpstream) -> None:
    page = shown(PAGE)
    assert "pixi add numpy" in page
    for version in ("3.0", "2.0", "1.10", "1.0"):
        assert f'href="{PAGE}/{version}"' in page
    assert "numpy-1.10-0.conda" in page
    assert "Fetched at first use" in page
    assert "In the cache" in shown(f"{PAGE}/1.0")
    assert "pixi add numpy==1.0" in shown(f"{PAGE}/1.0")
    waiting = shown(f"{PAGE}/3.0")
    assert "It is too new." in waiting
    assert "pixi add" not in waiting
    assert "A filter excludes this package." in shown(f"{PAGE}/2.0")
    assert not forge.requests
    assert [Client().get(f"{PAGE}/{version}").status_code for version in ("4.0", "x y")] == [404, 404]
    assert Client().get(f"{CHANNEL}/packages/absent").status_code == 404


def test_page_of_a_name_links_managers_to_the_filters_that_hide_a_record(filled: Channel, olga: User) -> None:
    link = f'href="{CHANNEL}/settings/upstream/filters"'
    assert link in shown(f"{PAGE}/2.0", signed_in(olga))
    assert link not in shown(f"{PAGE}/3.0", signed_in(olga))
    assert link not in shown(f"{PAGE}/2.0")


def test_page_of_a_channel_explains_keys_only_where_something_needs_one(mirror: Channel, channel: Channel) -> None:
    Channel.objects.update(is_private=False)
    assert ["How to get one" in shown(f"/channels/{name}") for name in ("demo", "mirror")] == [True, False]


def test_settings_name_no_storage_and_publishing_where_channels_have_no_own_packages(
    mirror: Channel, channel: Channel, olga: User
) -> None:
    for name, has_own in (("demo", True), ("mirror", False)):
        page = shown(f"/channels/{name}/settings", signed_in(olga))
        assert [each in page for each in ('id="storage"', "Publishing still requires")] == [has_own] * 2


def test_api_lists_names_and_the_records_of_one_in_pages(filled: Channel, olga: User) -> None:
    [numpy, zlib] = get(f"{API}/packages", olga)["items"]
    assert (numpy["name"], numpy["latest_version"], numpy["subdirs"]) == ("numpy", "1.10", ["linux-64", "noarch"])
    assert get(f"{API}/packages?search=zl&subdir=noarch", olga)["items"] == [zlib]
    assert get(f"{API}/packages/numpy", olga)["latest_version"] == "1.10"
    one = get(f"{API}/upstream/packages/numpy?limit=3", olga)
    assert one["versions"] == ["3.0", "2.0", "1.10", "1.0"]
    states = [(each["file_name"], each["state"], each["is_cached"]) for each in one["records"]]
    assert states == [
        ("numpy-3.0-0.conda", "waiting", False),
        ("numpy-2.0-0.conda", "filtered", False),
        ("numpy-1.10-0.conda", "listed", False),
    ]
    [cached] = get(f"{API}/upstream/packages/numpy?limit=3&page=2", olga)["records"]
    assert (cached["version"], cached["is_cached"]) == ("1.0", True)
    narrowed = get(f"{API}/upstream/packages/numpy?version=1.10&subdir=linux-64", olga)
    assert [each["subdir"] for each in narrowed["records"]] == ["linux-64"]
    assert narrowed["next"] is None
    assert code(by_session(olga).get(f"{API}/upstream/packages/absent")) == (404, "no_such_package")


def test_search_finds_names_of_upstreams(filled: Channel, olga: User) -> None:
    for query in ("q=numpy", "q=num&subdir=linux-64", "q=zlib&subdir=noarch", "q=zlib&channel=mirror"):
        assert [each["channel"] for each in get(f"search?{query}", olga)["packages"]] == ["mirror"]
    assert get("search?q=zlib&subdir=linux-64", olga)["packages"] == []
    [suggestion] = Client().get("/search/suggestions?q=numpy").json()["suggestions"]
    assert suggestion["url"] == PAGE
    assert "numpy" not in shown("/")


def test_downloads_of_packages_are_counted_as_of_other_channels(
    filled: Channel, olga: User, django_assert_max_num_queries: Any
) -> None:
    make_virtual(olga, "mirror")
    build_all()
    download_counts.write()
    Package.objects.update(download_count=0)
    path = "noarch/numpy-1.0-0.conda"
    Client().get(f"/mirror/{path}")
    Client().get(f"/all/{path}")
    with django_assert_max_num_queries(3):  # two of the access, and the file
        Client().get(f"/mirror/{path}")
    Client().head(f"/mirror/{path}")
    Client().get(f"/mirror/{path}", headers={"Range": "bytes=5-"})
    Client().get("/mirror/noarch/numpy-2.0-0.conda")
    download_counts.write()
    assert dict(Package.objects.values_list("name", "download_count")) == {"numpy": 3, "zlib": 0}
    assert "3 downloads" in shown(PAGE)
    assert get(f"{API}/packages/numpy/statistics", olga)["download_count"] == 3


def test_private_upstream_shows_no_name_to_strangers(filled: Channel, sam: User, olga: User) -> None:
    Channel.objects.update(is_private=True)
    assert [signed_in(sam).get(page).status_code for page in (CHANNEL, PAGE, f"{PAGE}/1.0")] == [404, 404, 404]
    assert code(by_session(sam).get(f"{API}/upstream/packages/numpy")) == (403, "no_access")
    assert get("search?q=numpy", sam)["packages"] == []
    assert len(get("search?q=numpy", olga)["packages"]) == 1


def test_name_without_listed_records_leaves_list_and_search(filled: Channel, forge: FakeUpstream, olga: User) -> None:
    forge.publish(record("numpy", "2.0"), record("numpy", "3.0"))
    forge.publish(subdir="linux-64")
    poll(filled)
    assert dict(Package.objects.values_list("name", "latest_version")) == {"numpy": "", "zlib": ""}
    assert get("search?q=numpy", olga)["packages"] == get("search?q=zlib", olga)["packages"] == []
    assert "Nothing to install" in shown(PAGE)
    assert "No files" in shown(f"{CHANNEL}/packages/zlib")
    Upstream.objects.update(filters={}, are_rules_new=True)
    assert sync.sync(filled.pk)
    assert (Package.objects.get(name="numpy").latest_version, Package.objects.get(name="numpy").subdirs) == (
        "2.0",
        ["noarch"],
    )


def test_names_of_before_get_packages_without_a_request_to_the_upstream(filled: Channel, forge: FakeUpstream) -> None:
    expected = list(Package.objects.order_by("name").values_list("name", "latest_version", "subdirs", "updated_at"))
    Package.objects.all().delete()
    UpstreamName.objects.update(latest_version="", updated_at=None)
    Upstream.objects.update(are_packages_listed=False)
    assert sync.sync(filled.pk)
    found = list(Package.objects.order_by("name").values_list("name", "latest_version", "subdirs", "updated_at"))
    assert found == expected
    assert not forge.requests


def test_number_of_queries_does_not_grow_with_names_and_records(
    filled: Channel, forge: FakeUpstream, django_assert_max_num_queries: Any
) -> None:
    forge.publish(*(record(f"lib{n}") for n in range(60)), *(record("numpy", f"{n}.0") for n in range(60)))
    poll(filled)
    for address, most in ((f"{CHANNEL}?q=lib", 20), (PAGE, 9), (f"/api/v1/{API}/upstream/packages/numpy", 9)):
        with django_assert_max_num_queries(most):
            shown(address) if address.startswith("/channels") else Client().get(address)


def test_page_in_a_virtual_channel_is_that_of_the_upstream(filled: Channel, olga: User) -> None:
    make_virtual(olga, "mirror")
    build_all()
    assert Client().get("/channels/all/packages/numpy")["Location"] == PAGE


def test_list_for_anaconda_client_has_no_names_of_upstreams(filled: Channel, olga: User) -> None:
    assert signed_in(olga).get("/anaconda/packages/mirror").json() == []


def test_rebuilt_index_of_the_whole_channel_has_no_names(filled: Channel) -> None:
    builds.build_channel(filled)
    whole = filled.indexes.get(subdir=builds.WHOLE_CHANNEL)
    builds.rebuild(whole)
    assert not whole.names.exists()
