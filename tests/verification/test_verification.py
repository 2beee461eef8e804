"""Verification and repair: each kind of difference is found and repaired, on a folder and on a bucket."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import msgpack
import pytest
import zstandard
from django.core.management import call_command
from django.utils import timezone
from pytest_django import Settings

from channels_app.models import Artifact, AuditEvent, Channel, Package
from channels_app.packages import packages
from hub.storage import store
from publishing.index import builds
from publishing.models import Fragment, IndexedName, RetiredShard, SubdirIndex
from tests.sample_channel import LIB, MINE, REPODATA, SHARDS, SIGS, found, read
from tests.stores import S3Server, moto_server

OLD = timedelta(hours=-1)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with moto_server() as server:
        yield server


@pytest.fixture
def any_store(request: pytest.FixtureRequest, settings: Settings) -> None:
    """Use a bucket if the parameter is "bucket", otherwise the folder of every test."""
    if request.param == "bucket":
        server: S3Server = request.getfixturevalue("server")
        options = server.with_new_bucket().options()
        settings.STORAGES = settings.STORAGES | {"channels": {"BACKEND": "hub.storage.s3.S3Store", "OPTIONS": options}}


def shard_key(name: str = "lib") -> str:
    sha256 = IndexedName.objects.get(index__subdir="noarch", name=name).shard_sha256
    return f"demo/noarch/shards/{sha256}.msgpack.zst"


def flip(key: str) -> None:
    content = bytearray(read(key))
    content[len(content) // 2] ^= 1
    store().put(key, bytes(content))


def edit_repodata(change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(read(REPODATA))
    change(content)
    store().put(REPODATA, json.dumps(content).encode())


def purge_lib() -> None:
    gone = {"removal": "deleted", "is_purged": True, "removed_at": timezone.now() - timedelta(days=400)}
    Artifact.objects.filter(file_name="lib-1.0-0.conda").update(**gone)
    packages.measure(Package.objects.all())
    rebuild()


def rebuild() -> None:
    for row in SubdirIndex.objects.order_by("-subdir"):
        builds.rebuild(row)


def point_shard_index_elsewhere() -> None:
    content = msgpack.unpackb(zstandard.decompress(read(SHARDS)))
    content["shards"]["lib"] = bytes(32)
    store().put(SHARDS, zstandard.compress(msgpack.packb(content)))


def swap_shards() -> None:
    """Swap the shards of two names. Each shard's bytes still match its hash."""
    lib, app = (IndexedName.objects.get(index__subdir="noarch", name=name) for name in ("lib", "app"))
    RetiredShard.objects.create(index=lib.index, sha256=lib.shard_sha256)
    lib.shard_sha256 = app.shard_sha256
    lib.save()


# The damage; whether only --hash finds it; the differences.
FAULTS: dict[str, tuple[Callable[[], object], bool, list[tuple[str, str]]]] = {
    "package gone": (lambda: store().delete(LIB), False, [("missing bytes", LIB)]),
    "package cut": (lambda: store().put(LIB, b"short"), False, [("wrong bytes", LIB)]),
    "package's bit flipped": (lambda: flip(LIB), True, [("wrong bytes", LIB)]),
    "sidecar gone": (lambda: store().delete(SIGS), False, [("sidecar", SIGS)]),
    "sidecar cut": (lambda: store().put(SIGS, b"[]"), False, [("sidecar", SIGS)]),
    "sidecar's bit flipped": (lambda: flip(SIGS), True, [("sidecar", SIGS)]),
    "sidecar's row forgotten": (
        lambda: Artifact.objects.filter(file_name="mine-1.0-0.conda").update(attestations_sha256=""),
        False,
        [("sidecar", MINE), ("index", "demo/noarch/mine")],
    ),
    "repodata gone": (lambda: store().delete(REPODATA), False, [("index", REPODATA)]),
    "repodata.zst gone": (lambda: store().delete(f"{REPODATA}.zst"), False, [("index", f"{REPODATA}.zst")]),
    "repodata cut": (lambda: store().put(REPODATA, read(REPODATA)[:-9]), False, [("index", REPODATA)]),
    "repodata.zst cut": (
        lambda: store().put(f"{REPODATA}.zst", read(f"{REPODATA}.zst")[:-9]),
        False,
        [("index", f"{REPODATA}.zst")],
    ),
    "repodata.zst of something else": (
        lambda: store().put(f"{REPODATA}.zst", zstandard.compress(read(REPODATA) + b" ")),
        False,
        [("index", f"{REPODATA}.zst")],
    ),
    "record added": (
        lambda: edit_repodata(lambda content: content["packages"].update({"evil-1-0.tar.bz2": {"name": "evil"}})),
        False,
        [("index", REPODATA)],
    ),
    "record lost": (
        lambda: edit_repodata(lambda content: content["packages.conda"].clear()),
        False,
        [("index", REPODATA)],
    ),
    "record's dependency changed": (
        lambda: edit_repodata(lambda content: content["packages.conda"]["lib-1.0-0.conda"]["depends"].append("evil")),
        False,
        [("index", REPODATA)],
    ),
    "shard index gone": (lambda: store().delete(SHARDS), False, [("index", SHARDS)]),
    "shard index unreadable": (lambda: store().put(SHARDS, b"x"), False, [("index", SHARDS)]),
    "shard index points elsewhere": (point_shard_index_elsewhere, False, [("index", SHARDS)]),
    "shard gone": (lambda: store().delete(shard_key()), False, [("index", "demo/noarch/lib")]),
    "shard's bit flipped": (lambda: flip(shard_key()), False, [("index", "demo/noarch/lib")]),
    "shard of another name": (swap_shards, False, [("index", SHARDS), ("index", "demo/noarch/lib")]),
    "run exports gone": (
        lambda: store().delete("demo/noarch/run_exports.json"),
        False,
        [("index", "demo/noarch/run_exports.json")],
    ),
    "current_repodata gone": (
        lambda: store().delete("demo/noarch/current_repodata.json"),
        False,
        [("index", "demo/noarch/current_repodata.json")],
    ),
    "channeldata unreadable": (
        lambda: store().put("demo/channeldata.json", b"{"),
        False,
        [("index", "demo/channeldata.json")],
    ),
    "notices gone": (lambda: store().delete("demo/notices.json"), False, [("index", "demo/notices.json")]),
    "fragment lost": (
        lambda: Fragment.objects.filter(index__subdir="noarch", name="lib", section="packages.conda").delete(),
        False,
        [("index", REPODATA), ("index", f"{REPODATA}.zst"), ("index", "demo/noarch/lib")],
    ),
    "fragment of nothing": (
        lambda: Fragment.objects.create(
            index=SubdirIndex.objects.get(subdir="noarch"), section="packages", name="ghost", body='"g":{}'
        ),
        False,
        [("index", REPODATA), ("index", f"{REPODATA}.zst"), ("index", "demo/noarch/ghost")],
    ),
    "channeldata's fragment lost": (
        lambda: Fragment.objects.filter(section="channeldata", name="lib").delete(),
        False,
        [("index", "demo/channeldata.json"), ("index", "demo/channeldata.json.zst"), ("index", "demo/lib")],
    ),
    "yanked behind the index's back": (
        lambda: Artifact.objects.filter(file_name="lib-1.0-0.conda").update(removal="yanked"),
        False,
        [("index", "demo/noarch/lib"), ("index", "demo/lib")],
    ),
    "shard of nobody": (
        lambda: store().put(f"demo/noarch/shards/{'0' * 64}.msgpack.zst", b"x"),
        False,
        [("leftover", f"demo/noarch/shards/{'0' * 64}.msgpack.zst")],
    ),
    "sidecar of nobody": (
        lambda: store().put(f"{LIB}.sigs.{'0' * 64}", b"[]"),
        False,
        [("leftover", f"{LIB}.sigs.{'0' * 64}")],
    ),
    "deleted for good, and here again": (purge_lib, False, [("leftover", LIB)]),
}


# A bucket reads, lists and deletes in another way, which one fault of each kind shows.
BUCKET_FAULTS = (
    "package gone", "package's bit flipped", "sidecar cut", "repodata.zst gone", "shard gone", "channeldata unreadable",
    "fragment lost", "shard of nobody", "deleted for good, and here again",
)  # fmt: skip
IN_STORES = [("folder", fault) for fault in FAULTS] + [("bucket", fault) for fault in BUCKET_FAULTS]


@pytest.mark.usefixtures("any_store", "old_files")
@pytest.mark.parametrize(("any_store", "fault"), IN_STORES, indirect=["any_store"])
def test_every_fault_is_named_mended_and_gone(channel_with_packages: Channel, fault: str) -> None:
    break_it, is_hashed, expected = FAULTS[fault]
    break_it()
    if is_hashed:
        assert found(channel_with_packages) == []
    assert found(channel_with_packages, is_hashed=is_hashed) == expected
    out = StringIO()
    call_command("verify", "demo", repair=True, hash=is_hashed, stdout=out)
    assert out.getvalue().splitlines()[-1].endswith(f"{len(expected)} difference{'s'[: len(expected) > 1]}, 0 left.")
    assert found(channel_with_packages, is_hashed=True) == []
    event = AuditEvent.objects.get(action="channel.repair")
    assert event.detail["mended"] == len(expected)
