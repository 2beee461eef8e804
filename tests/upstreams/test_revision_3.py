"""Records of repodata revision 3 (CEP 48) of an upstream that rattler-index wrote, as py-rattler reads them."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django.live_server_helper import LiveServer
from rattler import Channel as Address
from rattler import Gateway, RepoDataRecord, SourceConfig, Subdir, solve
from rattler.index import index_fs

from channels_app.models import Channel
from hub.storage import store
from publishing.upstreams import json_index, records, run_exports, sync
from tests.archives import make_conda, make_tar_bz2
from tests.upstreams.fake import FakeUpstream, record

FORMS = {
    "repodata_shards.msgpack.zst": SourceConfig(sharded_enabled=True),
    "repodata.json.zst": SourceConfig(sharded_enabled=False, zstd_enabled=True),
    "repodata.json": SourceConfig(sharded_enabled=False, zstd_enabled=False),
}
REVISION_3 = {"repodata_revision": 3}
# Keys that differ: the addresses, the times when each of both first saw the record, and run exports, which
# rattler-index also writes into repodata.json.
OF_THE_CHANNEL = ("url", "channel", "indexed_timestamp", "run_exports")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a channel with records of both revisions, of both kinds of archives."""
    noarch = tmp_path / "noarch"
    noarch.mkdir()
    make_conda(noarch, name="lib")
    make_tar_bz2(noarch, name="old", index=REVISION_3 | {"flags": ["cuda"]})
    make_conda(noarch, name="lib", version="2.0", depends=['old[when="lib >=2"]'])
    exports = {"run_exports.json": b'{"weak": ["lib >=2"]}'}
    make_conda(noarch, name="app", index=REVISION_3 | {"extra_depends": {"fast": ["lib >=2"]}}, info=exports)
    asyncio.run(index_fs(tmp_path))
    return tmp_path


def publish(forge: FakeUpstream, folder: Path, *forms: str) -> None:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    forge.files = {name: body for name, body in files.items() if name.partition("/")[2] not in FORMS.keys() - {*forms}}


async def read(url: str, form: SourceConfig, cache: Path) -> tuple[dict[str, Any], list[str]]:
    """Return file name → record, and a solution with an extra."""
    gateway, noarch = Gateway(cache_dir=cache, default_config=form), [Subdir("noarch")]
    answers = await gateway.query([Address(url)], noarch, ["app", "lib", "old"], recursive=False)
    found = {each.file_name: stated(each) for answer in answers for each in answer}
    solved = await solve([Address(url)], ["app[extras=[fast]]"], gateway, noarch)
    return found, sorted(each.file_name for each in solved)


def stated(found: RepoDataRecord) -> dict[str, Any]:
    return {key: value for key, value in json.loads(found.to_json()).items() if key not in OF_THE_CHANNEL}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("form", FORMS)
def test_records_of_revision_3_are_listed_in_each_form_as_the_upstream_lists_them(
    live_server: LiveServer, mirror: Channel, forge: FakeUpstream, folder: Path, form: str
) -> None:
    publish(forge, folder, *FORMS)
    found, solved = asyncio.run(read(forge.url, FORMS["repodata.json"], folder / "cache"))
    assert sorted(found) == ["app-1.0-0.conda", "lib-1.0-0.conda", "lib-2.0-0.conda", "old-1.0-0.tar.bz2"]
    assert solved == ["app-1.0-0.conda", "lib-2.0-0.conda", "old-1.0-0.tar.bz2"]
    publish(forge, folder, form)
    assert sync.sync(mirror.pk, is_forced=True)
    for number, config in enumerate(FORMS.values()):
        assert asyncio.run(read(f"{live_server.url}/mirror", config, folder / f"{number}")) == (found, solved)
    index = json.loads(b"".join(store().open("mirror/noarch/repodata.json")))
    assert (list(index["packages.conda"]), list(index["packages"])) == (["lib-1.0-0.conda"], [])
    assert index["info"]["repodata_revisions"]["v3"]["n_packages"] == 3


@pytest.mark.django_db
def test_package_of_revision_3_is_served_with_its_run_exports(
    client: Client, mirror: Channel, forge: FakeUpstream, folder: Path
) -> None:
    publish(forge, folder, "repodata_shards.msgpack.zst")
    assert sync.sync(mirror.pk, is_forced=True)
    answer = client.get("/mirror/noarch/app-1.0-0.conda")
    assert b"".join(answer) == (folder / "noarch" / "app-1.0-0.conda").read_bytes()
    found = json.loads(b"".join(store().open("mirror/noarch/run_exports.json")))["v3"]["conda"]
    assert found["app-1.0-0"] == {"run_exports": {"weak": ["lib >=2"]}}


def both(**buckets: Any) -> dict[str, Any]:
    """Return an index with the record of `a-1.0-0.conda` in `packages.conda` and in `v3`."""
    v3 = {"conda": {"a-1.0-0": record("a", flags=["cuda"])}} | buckets
    return {"packages": {}, "packages.conda": {"a-1.0-0.conda": record("a", repodata_revision=3)}, "v3": v3}


def test_record_outside_v3_replaces_that_of_the_same_file_in_it() -> None:
    assert records.of_shard(both()) == {"a-1.0-0.conda": record("a")}
    with json_index.opened(texts(both())) as found:
        assert found.records("a") == {"a-1.0-0.conda": record("a")}


def test_wheels_and_unknown_buckets_are_left_out() -> None:
    index = both(whl={"b-1.0-0": record("b")}, new={"c-1.0-0": record("c")}, flat=3)
    assert records.of_shard(index).keys() == {"a-1.0-0.conda"}
    with json_index.opened(texts(index)) as found:
        assert found.hashes.keys() == {"a"}


@pytest.mark.parametrize("v3", [None, [], {"conda": []}, {"conda": None}, "conda"])
def test_shard_with_another_value_as_v3_is_refused(v3: object) -> None:
    with pytest.raises(TypeError):
        records.of_shard({"packages": {}, "packages.conda": {}, "v3": v3})


def test_run_exports_of_revision_3_are_read() -> None:
    stated = {"run_exports": {"weak": ["a"]}}
    document = {"packages": {}, "v3": {"conda": {"a-1.0-0": stated}, "whl": {"b-1.0-0": stated}}}
    assert [name for _, name, _ in run_exports._entries(texts(document))] == ["a-1.0-0.conda"]


def texts(document: dict[str, Any]) -> Iterator[str]:
    yield json.dumps(document)
