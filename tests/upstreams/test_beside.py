"""Files of an upstream beside its index: notices (CEP 6) and run exports (CEP 12)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import zstandard
from django.test import Client

from channels_app.models import Channel, User
from publishing.index import builds
from publishing.models import Upstream
from publishing.verification import verification
from tests.builders import make_notice
from tests.upstreams.fake import FakeUpstream, record
from tests.upstreams.test_sync import poll
from tests.virtual.channels import build_all, make_virtual

pytestmark = pytest.mark.django_db
RUN_EXPORTS = "noarch/run_exports.json"
NUMPY = "numpy-1.0-0.conda"
WEAK = {"weak": ["numpy >=1"]}
TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()


def notice(**values: Any) -> dict[str, Any]:
    stated = {"id": "1", "message": "Moved.", "level": "warning", "created_at": "2026-01-01T00:00:00"}
    return stated | {"expired_at": TOMORROW, "interval": 3} | values


def state_notices(forge: FakeUpstream, *stated: object) -> None:
    forge.files["notices.json"] = json.dumps({"notices": stated}).encode()


def document(path: str) -> Any:
    body = b"".join(Client().get(f"/{path}"))
    return json.loads(zstandard.decompress(body) if path.endswith(".zst") else body)


def messages(channel: str = "mirror") -> list[str]:
    build_all()
    return [each["message"] for each in document(f"{channel}/notices.json")["notices"]]


def test_notices_of_the_upstream_follow_those_of_the_channel(mirror: Channel, forge: FakeUpstream, olga: User) -> None:
    forge.publish(record("numpy"))
    make_notice(mirror, message="Own.")
    make_virtual(olga, "mirror")
    state_notices(forge, notice())
    poll(mirror)
    assert messages() == messages("all") == ["Own.", "Moved."]
    [_, entry] = document("mirror/notices.json")["notices"]
    assert entry.keys() == {"id", "message", "level", "created_at", "expires_at"}
    state_notices(forge)
    poll(mirror)
    assert messages() == ["Own."]


def test_unreadable_and_expired_notices_are_left_out(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("numpy"))
    unreadable = [
        *(7, {}, notice(level="shout"), notice(message=7), notice(created_at="yesterday"), notice(expired_at=7)),
        notice(expired_at="2026-01-01T00:00:00Z"),
    ]
    state_notices(forge, *unreadable, notice(message="Good."))
    assert poll(mirror).error_code == ""
    assert messages() == ["Good."]


def test_times_of_notices_are_in_utc_or_the_notice_is_left_out(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("numpy"))
    odd = {"created_at": "2026-01-01T00:00:00+00:00:30.5", "expired_at": "2999-01-01T00:00:00+05:30"}
    never = [notice(created_at="0001-01-01T00:00:00+23:59"), notice(expired_at="9999-12-31T23:59:59-23:59")]
    state_notices(forge, notice(**odd), *never)
    poll(mirror)
    messages()
    [stated] = document("mirror/notices.json")["notices"]
    assert (stated["created_at"], stated["expires_at"]) == ("2025-12-31T23:59:29+00:00", "2998-12-31T18:30:00+00:00")


def test_wrong_notices_keep_the_last_ones_and_stop_no_poll(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("numpy"))
    state_notices(forge, notice())
    poll(mirror)
    for body in (b"<html>", b"[]", b'{"notices":7}', b" " * 300_000):
        forge.files["notices.json"] = body
        assert poll(mirror).error_code == ""
    assert messages() == ["Moved."]


def test_unchanged_notices_are_asked_for_with_their_etag_until_they_expire(
    mirror: Channel, forge: FakeUpstream
) -> None:
    forge.publish(record("numpy"))
    state_notices(forge, notice())
    poll(mirror)
    forge.headers.clear()
    poll(mirror)
    assert sum("If-None-Match" in each for each in forge.headers) == 2
    [stored] = Upstream.objects.get().notices or []
    Upstream.objects.update(notices=[stored | {"expires_at": "2026-01-01T00:00:00+00:00"}])
    poll(mirror)
    assert messages() == []


def state_run_exports(forge: FakeUpstream, entries: object, *, compressed: bool = False) -> None:
    body = json.dumps({"info": {}, "packages": {}, "packages.conda": entries}).encode()
    forge.files[RUN_EXPORTS + ".zst" * compressed] = zstandard.compress(body) if compressed else body


def run_exports() -> Any:
    found = document("mirror/noarch/run_exports.json")["packages.conda"]
    assert document("mirror/noarch/run_exports.json.zst")["packages.conda"] == found
    return found


@pytest.mark.parametrize("compressed", [False, True])
def test_run_exports_come_along_without_shards(
    mirror: Channel, forge: FakeUpstream, old_files: None, compressed: bool
) -> None:
    forge.publish(record("numpy"), record("hidden", size=0), forms=("json",))
    hidden = {"hidden-1.0-0.conda": {"run_exports": WEAK}, "other-1.0-0.conda": {"run_exports": WEAK}}
    state_run_exports(forge, {NUMPY: {"run_exports": WEAK}} | hidden, compressed=compressed)
    poll(mirror)
    assert run_exports() == {NUMPY: {"run_exports": WEAK}}
    builds.build_channel(mirror)
    assert list(verification.verify(mirror).differences) == []


def test_run_exports_that_change_later_follow(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("numpy"), forms=("json",))
    poll(mirror)
    assert run_exports() == {}
    state_run_exports(forge, {NUMPY: {"run_exports": WEAK}})
    poll(mirror)
    assert run_exports() == {NUMPY: {"run_exports": WEAK}}
    state_run_exports(forge, {NUMPY: {"run_exports": {}}})
    poll(mirror)
    assert run_exports() == {NUMPY: {"run_exports": {}}}


def test_run_exports_that_are_ahead_of_the_index_are_read_again(mirror: Channel, forge: FakeUpstream) -> None:
    state_run_exports(forge, {NUMPY: {"run_exports": WEAK}})
    forge.publish(record("zlib"), forms=("json",))
    poll(mirror)
    forge.publish(record("zlib"), record("numpy"), forms=("json",))
    poll(mirror)
    assert run_exports() == {NUMPY: {"run_exports": WEAK}}


def test_unreadable_run_exports_are_left_out(mirror: Channel, forge: FakeUpstream) -> None:
    values = [["x"], {"weak": "x"}, {"weak": [7]}, {"weak": ["\ud800"]}, {"weak": ["x" * 100_000]}]
    entries = [7, {}, *({"run_exports": value} for value in values)]
    forge.publish(*(record("numpy", build=str(n)) for n in range(len(entries))), record("zlib"), forms=("json",))
    stated: dict[str, object] = {f"numpy-1.0-{n}.conda": entry for n, entry in enumerate(entries)}
    state_run_exports(forge, stated | {"zlib-1.0-0.conda": {"run_exports": WEAK}, "no file": {"run_exports": {}}})
    assert poll(mirror).error_code == ""
    assert run_exports() == {"zlib-1.0-0.conda": {"run_exports": WEAK}}


def test_wrong_run_exports_keep_the_last_ones_and_stop_no_poll(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("numpy"), forms=("json",))
    state_run_exports(forge, {NUMPY: {"run_exports": WEAK}})
    poll(mirror)
    for body in (b"<html>", b"[]", b'{"packages":7}', b"\xff"):
        forge.files[RUN_EXPORTS] = body
        assert poll(mirror).error_code == ""
    assert run_exports() == {NUMPY: {"run_exports": WEAK}}


def test_run_exports_of_shards_are_not_asked_for_beside(mirror: Channel, forge: FakeUpstream) -> None:
    forge.publish(record("numpy", run_exports=WEAK), forms=("shards", "json"))
    poll(mirror)
    assert run_exports() == {NUMPY: {"run_exports": WEAK}}
    assert not [path for path in forge.requests if "run_exports" in path]


@pytest.mark.parametrize("stated", [7, ["x"], {"weak": [7]}, {"weak": "x"}, {"weak": ["x" * 100_000]}])
def test_run_exports_of_a_shard_that_clients_cannot_read_are_left_out(
    mirror: Channel, forge: FakeUpstream, stated: object
) -> None:
    forge.publish(record("numpy", run_exports=stated))
    poll(mirror)
    assert run_exports() == {}
