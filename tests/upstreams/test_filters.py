"""Filters of an upstream channel: the records that clients see, the preview, and access."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from channels_app.access.permissions import Actor, Permission
from channels_app.models import AuditEvent, Channel, User
from publishing.models import CachedFile, Upstream, UpstreamName, UpstreamSubdir
from publishing.upstreams import judging, previews, queries, sync, upstreams
from publishing.upstreams.filtering import FilterTexts
from tests.builders import make_user
from tests.pages import signed_in, text
from tests.rest.calls import by_key, by_session, code
from tests.upstreams.fake import FakeUpstream, record
from tests.upstreams.test_cache import BYTES, body
from tests.upstreams.test_sync import SHARD_INDEX, listed, poll
from tests.virtual.channels import build_all, file_names, make_virtual

pytestmark = pytest.mark.django_db
PATH = "channels/mirror/upstream/filters"
PAGE = "/channels/mirror/settings/upstream/filters"
PACKAGE = "/mirror/noarch/numpy-1.0-0.conda"
NOTHING: dict[str, Any] = {
    "include": [],
    "exclude": [],
    "licenses": [],
    "excluded_licenses": [],
    "max_age_days": None,
    "newest_versions": None,
}


def save(channel: Channel, olga: User, **texts: Any) -> None:
    """Save filters and let the job apply them."""
    upstreams.change(actor=Actor(olga), channel=channel, filters=FilterTexts(**texts))
    assert sync.sync(channel.pk)


def test_filters_hide_records_without_a_request_and_let_them_come_back(
    mirror: Channel, forge: FakeUpstream, olga: User
) -> None:
    forge.publish(record("numpy"), record("numpy", "2.0"), record("zlib", license="GPL-3.0-or-later"))
    poll(mirror)
    before = listed(mirror)
    forge.requests.clear()
    save(mirror, olga, exclude=["numpy <2"], excluded_licenses=["*GPL*"])
    assert list(listed(mirror)) == ["numpy-2.0-0.conda"]
    assert queries.hidden_counts() == {"waiting": 0, "held": 0, "filtered": 2}
    save(mirror, olga)
    assert listed(mirror) == before
    assert not forge.requests


def test_record_of_a_later_poll_is_filtered_before_it_is_listed(
    mirror: Channel, forge: FakeUpstream, olga: User
) -> None:
    save(mirror, olga, include=["num*"])
    forge.publish(record("numpy"), record("zlib"))
    poll(mirror)
    assert list(listed(mirror)) == ["numpy-1.0-0.conda"]


def test_cached_package_is_not_served_while_filters_hide_it(mirror: Channel, forge: FakeUpstream, olga: User) -> None:
    forge.publish(forge.add_package("numpy", BYTES))
    poll(mirror)
    assert body(Client().get(PACKAGE)) == BYTES
    save(mirror, olga, exclude=["numpy"])
    assert Client().get(PACKAGE).headers["X-Error-Code"] == "held_back"
    assert not CachedFile.objects.get().is_listed
    save(mirror, olga)
    assert body(Client().get(PACKAGE)) == BYTES


def test_records_get_too_old_at_midnight_and_are_judged_again_then(
    mirror: Channel, forge: FakeUpstream, olga: User
) -> None:
    now = timezone.now()
    days_ago = [int((now - timedelta(days=days)).timestamp() * 1000) for days in (3, 30)]
    forge.publish(record("numpy", timestamp=days_ago[0]), record("zlib", timestamp=days_ago[1]))
    poll(mirror)
    save(mirror, olga, max_age_days=10)
    assert list(listed(mirror)) == ["numpy-1.0-0.conda"]
    due_at = UpstreamName.objects.get(name="numpy").due_at
    assert due_at
    assert (due_at.hour, due_at.minute) == (0, 0)
    assert timedelta(days=7) <= due_at - now <= timedelta(days=8)
    # Time passes: the job that the due time enqueues hides the record.
    row = UpstreamName.objects.get(name="numpy")
    row.first_seen["numpy-1.0-0.conda"][1] = days_ago[1]
    row.due_at = now
    row.save()
    sync.judge_due(Upstream.objects.get())
    assert listed(mirror) == {}
    assert UpstreamName.objects.get(name="numpy").due_at is None


def test_changed_record_stays_held_back_and_waiting_record_stays_hidden_behind_filters(
    mirror: Channel, forge: FakeUpstream, olga: User
) -> None:
    forge.publish(record("numpy"))
    poll(mirror)
    Upstream.objects.update(cooldown_days=7)
    forge.publish(record("numpy", content=b"others"), record("zlib"))
    poll(mirror)
    save(mirror, olga, exclude=["*"])
    rows = UpstreamName.objects.order_by("name")
    assert [reason for row in rows for reason, _ in row.hidden.values()] == [judging.CHANGED, judging.FILTERED]
    save(mirror, olga)
    assert [reason for row in rows.all() for reason, _ in row.hidden.values()] == [judging.CHANGED, judging.WAITING]


def test_newest_versions_are_kept_of_each_name_and_platform_in_the_order_of_conda(
    mirror: Channel, forge: FakeUpstream, olga: User
) -> None:
    numpy = [record("numpy", version) for version in ("1.9", "1.10", "1.10.0", "2.0", "2.0rc1")]
    zlib = [record("zlib", "1.0"), record("zlib", "2.0", license="GPL-3.0")]
    forge.publish(*numpy, record("numpy", "1.10", build="1"), *zlib)
    forge.publish(record("numpy", "1.0", subdir="linux-64"), subdir="linux-64")
    Upstream.objects.update(subdirs=["noarch", "linux-64"])
    poll(mirror)
    before = listed(mirror)
    forge.requests.clear()
    save(mirror, olga, newest_versions=3, excluded_licenses=["GPL*"])
    kept = ["1.10-0", "1.10-1", "1.10.0-0", "2.0-0", "2.0rc1-0"]
    assert sorted(listed(mirror)) == [*(f"numpy-{each}.conda" for each in kept), "zlib-1.0-0.conda"]
    assert list(UpstreamName.objects.get(index__subdir="linux-64").hidden) == []
    assert not forge.requests
    save(mirror, olga)
    assert listed(mirror) == before


def test_new_version_pushes_the_oldest_kept_one_out_and_its_removal_brings_it_back(
    mirror: Channel, forge: FakeUpstream, olga: User
) -> None:
    save(mirror, olga, newest_versions=2)
    old = [forge.add_package("numpy", BYTES), record("numpy", "1.1")]
    forge.publish(*old)
    poll(mirror)
    before = listed(mirror)
    assert body(Client().get(PACKAGE)) == BYTES
    forge.publish(*old, record("numpy", "1.2"))
    poll(mirror)
    assert sorted(listed(mirror)) == ["numpy-1.1-0.conda", "numpy-1.2-0.conda"]
    assert Client().get(PACKAGE).headers["X-Error-Code"] == "held_back"
    forge.publish(*old)
    poll(mirror)
    assert listed(mirror) == before
    assert body(Client().get(PACKAGE)) == BYTES


def test_version_in_cooldown_or_held_back_pushes_no_older_one_out_until_it_is_listed(
    mirror: Channel, forge: FakeUpstream, olga: User
) -> None:
    forge.publish(record("numpy"), record("zlib"), record("zlib", "2.0"))
    poll(mirror)
    Upstream.objects.update(cooldown_days=7)
    forge.publish(record("numpy"), record("numpy", "2.0"), record("zlib"), record("zlib", "2.0", content=b"others"))
    poll(mirror)
    preview = previews.preview(mirror, FilterTexts(newest_versions=1)).total
    assert (preview.records, preview.going) == (4, 0)
    save(mirror, olga, newest_versions=1)
    assert sorted(listed(mirror)) == ["numpy-1.0-0.conda", "zlib-1.0-0.conda"]
    # Time passes: the job that the due time enqueues lists the new version.
    row = UpstreamName.objects.get(name="numpy")
    row.first_seen["numpy-2.0-0.conda"][1] -= 8 * judging.DAY_MS
    row.due_at = timezone.now()
    row.save()
    # A cooldown counts since the first poll, which was earlier then, too.
    UpstreamSubdir.objects.update(first_sync_at=timezone.now() - timedelta(days=9))
    sync.judge_due(Upstream.objects.get())
    assert sorted(listed(mirror)) == ["numpy-2.0-0.conda", "zlib-1.0-0.conda"]
    assert UpstreamName.objects.get(name="numpy").hidden == {
        "numpy-1.0-0.conda": [judging.FILTERED, judging.OLDER_VERSION]
    }


def test_killed_change_is_completed_by_the_next_job(mirror: Channel, forge: FakeUpstream, olga: User) -> None:
    forge.publish(record("numpy"), record("zlib"))
    poll(mirror)
    upstreams.change(actor=Actor(olga), channel=mirror, filters=FilterTexts(exclude=["*"]))
    sync._with_new_rules(mirror.pk)
    assert not Upstream.objects.get().are_rules_new
    assert sync.sync(mirror.pk)
    assert listed(mirror) == {}


def test_filters_are_applied_while_all_turns_are_taken_and_before_a_poll(
    mirror: Channel, forge: FakeUpstream, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge.publish(record("numpy"), record("zlib"))
    poll(mirror)
    upstreams.change(actor=Actor(olga), channel=mirror, filters=FilterTexts(exclude=["zlib"]))
    with monkeypatch.context() as patch:
        patch.setattr(sync, "POLLS_AT_ONCE", 0)
        assert not sync.sync(mirror.pk, is_forced=True)
    assert list(listed(mirror)) == ["numpy-1.0-0.conda"]
    upstreams.change(actor=Actor(olga), channel=mirror, filters=FilterTexts())
    # The upstream answers with the number of records that clients see meanwhile.
    forge.spoiled[SHARD_INDEX] = lambda: (400 + len(listed(mirror)), {}, b"")
    assert "answers 402 for" in poll(mirror).error


def test_virtual_channel_follows_filters_and_keeps_filtered_names(
    mirror: Channel, forge: FakeUpstream, olga: User
) -> None:
    forge.publish(record("numpy"), record("zlib"))
    poll(mirror)
    make_virtual(olga, "mirror")
    save(mirror, olga, exclude=["zlib"])
    build_all()
    assert file_names("all") == ["numpy-1.0-0.conda"]
    assert Client().get("/all/noarch/zlib-1.0-0.conda").status_code == 404


def test_preview_counts_records_that_stay_go_and_come_back(mirror: Channel, forge: FakeUpstream, olga: User) -> None:
    forge.publish(record("numpy"), record("numpy", "2.0"), record("zlib", license="GPL-2.0"), record("qt"))
    forge.publish(record("numpy", subdir="linux-64"), subdir="linux-64")
    Upstream.objects.update(subdirs=["noarch", "linux-64"])
    poll(mirror)
    save(mirror, olga, exclude=["qt"])
    wanted = {"exclude": ["*[subdir='linux-64']"], "excluded_licenses": ["*gpl*"], "newest_versions": 1}
    found = by_session(olga).put(PATH, wanted | {"dry_run": True}).json()["preview"]
    assert found["subdirs"] == [
        {"subdir": "linux-64", "names": 0, "names_going": 1, "records": 0, "hidden": 1, "going": 1, "coming": 0},
        {"subdir": "noarch", "names": 2, "names_going": 1, "records": 2, "hidden": 2, "going": 2, "coming": 1},
    ]
    assert {key: found[key] for key in found if key not in ("subdirs", "examples")} == {
        "names": 2, "names_going": 1, "records": 2, "hidden": 3, "going": 3, "coming": 1
    }  # fmt: skip
    assert [each["file_name"] for each in found["examples"]] == [
        "numpy-1.0-0.conda",
        "numpy-1.0-0.conda",
        "zlib-1.0-0.conda",
    ]
    assert Upstream.objects.get().filters == {"exclude": ["qt"]}
    # The saved filters leave what the preview says.
    save(mirror, olga, **wanted)
    assert sorted(listed(mirror)) == ["numpy-2.0-0.conda", "qt-1.0-0.conda"]


def test_owner_sets_filters_by_rest_and_finds_the_hidden_records(
    mirror: Channel, forge: FakeUpstream, olga: User
) -> None:
    forge.publish(record("numpy"), record("zlib"))
    poll(mirror)
    caller = by_session(olga)
    first = caller.get(PATH)
    assert first.json() == NOTHING | {"preview": None}
    texts = NOTHING | {"exclude": ["numpy"], "max_age_days": 3650}
    assert caller.put(PATH, texts, **{"If-Match": first.headers["ETag"]}).json() == texts | {"preview": None}
    assert code(caller.put(PATH, NOTHING, **{"If-Match": first.headers["ETag"]})) == (412, "changed_meanwhile")
    assert sync.sync(mirror.pk)
    assert caller.get("channels/mirror/upstream/state").json()["filtered"] == 1
    assert caller.get("channels/mirror/upstream/hidden").json()["items"] == []
    [name] = caller.get("channels/mirror/upstream/hidden?filtered=true").json()["items"]
    assert [(each["file_name"], each["reason"]) for each in name["records"]] == [("numpy-1.0-0.conda", "filtered")]
    event = AuditEvent.objects.get(action="upstream.change")
    assert event.detail["exclude"] == {"from": None, "to": ["numpy"]}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"exclude": ["numpy ("]}, (400, "bad_filter")),
        ({"include": [f"*{number} >=1.0000000000" for number in range(60)]}, (400, "bad_filter")),
        ({"licenses": ["\uff27PL"]}, (400, "bad_filter")),
        ({"exclude": ["numpy"] * 501}, (422, "invalid_value")),
        ({"exclude": ["n" * 201]}, (422, "invalid_value")),
        ({"max_age_days": 0}, (422, "invalid_value")),
        ({"newest_versions": 0}, (422, "invalid_value")),
        ({"unknown": 1}, (422, "invalid_value")),
    ],
)
def test_bad_filters_are_refused_without_a_change(
    mirror: Channel, olga: User, wanted: dict[str, Any], expected: tuple[int, str]
) -> None:
    for dry_run in (True, False):
        assert code(by_session(olga).put(PATH, wanted | {"dry_run": dry_run})) == expected
    assert Upstream.objects.get().filters == {}


def test_others_neither_see_nor_preview_nor_change_filters(mirror: Channel, olga: User, sam: User) -> None:
    Channel.objects.update(is_private=True)
    sam_calls = by_session(sam)
    assert {code(sam_calls.get(PATH)), code(sam_calls.put(PATH, NOTHING | {"dry_run": True}))} == {(403, "no_access")}
    assert code(sam_calls.put(PATH, NOTHING)) == (403, "no_access")
    assert {signed_in(sam).get(PAGE).status_code, signed_in(sam).post(PAGE, {"action": "save"}).status_code} == {404}
    assert code(by_key(olga, Permission.READ, Permission.MANAGE).put(PATH, NOTHING))[0] == 403


def test_administrator_creates_a_channel_with_filters(forge: FakeUpstream) -> None:
    new = {"name": "forge", "url": forge.url, "subdirs": ["noarch"], "filters": {"exclude": ["zlib"]}}
    assert by_session(make_user("ada", is_superuser=True)).post("upstreams", new).status_code == 201
    forge.publish(record("numpy"), record("zlib"))
    channel = Channel.objects.get(name="forge")
    poll(channel)
    assert list(listed(channel)) == ["numpy-1.0-0.conda"]
    assert AuditEvent.objects.get(action="upstream.add").detail["exclude"]["to"] == ["zlib"]


def test_page_previews_warns_and_saves(mirror: Channel, forge: FakeUpstream, olga: User) -> None:
    forge.publish(record("numpy"), record("zlib"))
    poll(mirror)
    client = signed_in(olga)
    shown = text(client.post(PAGE, {"action": "preview", "exclude": "numpy\nzlib <2"})).replace("<wbr>", "")
    assert "The filters hide every record." in shown
    assert "numpy-1.0-0.conda" in shown
    assert Upstream.objects.get().filters == {}
    assert "expected one like" in text(client.post(PAGE, {"action": "save", "exclude": "numpy ("}))
    assert client.post(PAGE, {"action": "save", "exclude": "numpy\n\n", "newest_versions": "2"}).status_code == 302
    assert Upstream.objects.get().filters == {"exclude": ["numpy"], "newest_versions": 2}
    assert sync.sync(mirror.pk)
    assert "1 of 2 records" in text(client.get(PAGE))
    activity = text(client.get("/channels/mirror/settings/activity"))
    assert "Not packages: none → numpy" in activity
    assert "Newest versions: all → 2" in activity


def test_preview_reads_a_bounded_number_of_rows_by_few_queries(
    mirror: Channel,
    forge: FakeUpstream,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    monkeypatch.setattr(previews, "NAMES_AT_ONCE", 5)
    monkeypatch.setattr(previews, "EXAMPLES", 3)
    forge.publish(*(record(f"name-{number}") for number in range(12)), forms=("json",))
    poll(mirror)
    with django_assert_num_queries(7):
        found = previews.preview(mirror, FilterTexts(exclude=["name-1*"]))
    assert (found.total.records, found.total.hidden, len(found.examples)) == (9, 3, 3)
