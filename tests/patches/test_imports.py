"""Imports of patch_instructions.json and of patch packages."""

from io import BytesIO
from typing import Any

import pytest
import zstandard

from channels_app.access.permissions import Actor
from channels_app.authentication import api_keys
from channels_app.models import Channel, User
from hub.errors import HubError
from hub.storage import store
from publishing.models import Patch, PatchedName
from publishing.patches import imports, patches
from publishing.patches.patches import Outcome
from publishing.verification import stored_indexes
from tests.builders import make_artifact, make_key
from tests.patches.indexes import built, content, document, records, shard_run_exports, unpatched_records
from tests.patches.packages import conda, encoded, instructions, tar_bz2
from tests.rest.calls import by_key, code

pytestmark = pytest.mark.django_db


def run(channel: Channel, user: User, data: bytes, subdir: str = "noarch", **values: Any) -> Outcome:
    given: dict[str, Any] = {"actor": Actor(user=user), "channel": channel, "source": "patches"} | values
    return imports.import_file(file=BytesIO(data), subdir=subdir, **given)


def import_(channel: Channel, user: User, version: int = 1, **sections: Any) -> Outcome:
    return run(channel, user, encoded(instructions(version, **sections)))


def test_instructions_change_records_as_conda_index_does(channel: Channel, olga: User) -> None:
    for extension in (".tar.bz2", ".conda"):
        for name in ("features", "depends", "revoke", "remove", "other"):
            facts = {"depends": ["zlib"], "features": "x", "track_features": "y"}
            make_artifact(channel, name, extension=extension, index_json=facts)
    changes = {
        "features-1.0-0.tar.bz2": {"features": None, "track_features": None},
        "depends-1.0-0.tar.bz2": {"depends": ["six"], "license": "MIT"},
    }
    of_conda: dict[str, Any] = {
        "depends-1.0-0.conda": {"depends": ["six >=1"]},
        "features-1.0-0.tar.bz2": {"license": "X"},
    }
    lists: dict[str, Any] = {"revoke": ["revoke-1.0-0.tar.bz2"], "remove": ["remove-1.0-0.tar.bz2"]}
    outcome = import_(channel, olga, packages=changes, **lists | {"packages.conda": of_conda})
    built(channel)
    assert outcome.preview.record_count == 8
    found = records()
    assert {file_name for file_name in found if "features" not in found[file_name]} == {
        "features-1.0-0.tar.bz2",
        "features-1.0-0.conda",
    }
    assert [found[f"depends-1.0-0{end}"]["depends"] for end in (".tar.bz2", ".conda")] == [["six"], ["six >=1"]]
    assert [found[f"depends-1.0-0{end}"]["license"] for end in (".tar.bz2", ".conda")] == ["MIT", "MIT"]
    assert found["revoke-1.0-0.conda"]["depends"] == ["zlib", "package_has_been_revoked"]
    assert document("noarch/repodata.json")["removed"] == ["remove-1.0-0.conda", "remove-1.0-0.tar.bz2"]
    assert all(record["depends"] == ["zlib"] for record in unpatched_records().values())
    assert len(unpatched_records()) == 10
    assert list(stored_indexes.check(channel)) == []


def test_instructions_of_version_2_change_run_exports_and_those_of_version_1_do_not(
    channel: Channel, olga: User
) -> None:
    make_artifact(channel, "lib", run_exports={"weak": ["lib"]})
    changes = {"lib-1.0-0.conda": {"run_exports": {"weak": ["lib >=1,<2"]}, "license": "MIT", "timestamp": 5}}
    first = import_(channel, olga, packages=changes).patch
    built(channel)
    assert first
    assert first.ignored == {"run_exports": 1, "timestamp": 1}
    assert shard_run_exports() == {"lib-1.0-0.conda": {"weak": ["lib"]}}
    second = import_(channel, olga, 2, packages=changes).patch
    built(channel)
    assert second
    assert second.ignored == {"timestamp": 1}
    assert shard_run_exports() == {"lib-1.0-0.conda": {"weak": ["lib >=1,<2"]}}
    of_file = document("noarch/run_exports.json")["packages.conda"]["lib-1.0-0.conda"]
    assert of_file == {"run_exports": {"weak": ["lib >=1,<2"]}}


def test_import_replaces_the_former_one_of_its_subdir_until_undo(channel: Channel, olga: User) -> None:
    make_artifact(channel, "lib")
    run(channel, olga, encoded(instructions(packages={"lib-1.0-0.conda": {"license": "A"}})), "linux-64")
    import_(channel, olga, packages={"lib-1.0-0.conda": {"license": "A"}, "later-1.0-0.conda": {"license": "A"}})
    built(channel)
    before = content("noarch/repodata.json")
    second = import_(channel, olga, packages={"lib-1.0-0.conda": {"license": "B"}}).patch
    built(channel)
    assert records()["lib-1.0-0.conda"]["license"] == "B"
    assert [patch.import_subdir for patch in Patch.active(channel)] == ["linux-64", "noarch"]
    assert second
    patches.undo(actor=Actor(user=olga), patch=second)
    built(channel)
    assert content("noarch/repodata.json") == before
    make_artifact(channel, "later")
    built(channel)
    assert records()["later-1.0-0.conda"]["license"] == "A"


def test_empty_import_ends_the_former_one(channel: Channel, olga: User) -> None:
    make_artifact(channel, "lib")
    import_(channel, olga, packages={"lib-1.0-0.conda": {"license": "A"}})
    import_(channel, olga)
    built(channel)
    assert "license" not in records()["lib-1.0-0.conda"]
    assert not Patch.active(channel).exists()
    with pytest.raises(HubError) as error:
        import_(channel, olga)
    assert (error.value.status, error.value.code) == (422, "bad_patch")


@pytest.mark.parametrize("pack", [tar_bz2, conda])
def test_patch_package_has_instructions_for_each_subdir(channel: Channel, olga: User, pack: Any) -> None:
    for subdir in ("noarch", "linux-64"):
        make_artifact(channel, "lib", subdir=subdir)
    files = {
        f"{subdir}/patch_instructions.json": encoded(instructions(packages={"lib-1.0-0.conda": {"license": subdir}}))
        for subdir in ("noarch", "linux-64")
    }
    outcome = run(channel, olga, pack(files | {"info/index.json": b"{}", "noarch/other.json": b"?"}), subdir="")
    built(channel)
    for subdir in ("noarch", "linux-64"):
        assert records(subdir=subdir)["lib-1.0-0.conda"]["license"] == subdir
    assert sorted(patch.title for patch in outcome.patches) == ["patches for linux-64", "patches for noarch"]


def test_compressed_instructions_are_read(channel: Channel, olga: User) -> None:
    make_artifact(channel, "lib")
    data = encoded(instructions(packages={"lib-1.0-0.conda": {"license": "Z"}}))
    run(channel, olga, zstandard.compress(data))
    built(channel)
    assert records()["lib-1.0-0.conda"]["license"] == "Z"


def test_dry_run_of_an_import_stores_no_patch(channel: Channel, olga: User) -> None:
    make_artifact(channel, "lib")
    data = encoded(instructions(packages={"lib-1.0-0.conda": {"license": "Z"}, "gone-1.0-0.conda": {"license": "Z"}}))
    outcome = run(channel, olga, data, dry_run=True)
    assert (outcome.patches, outcome.preview.record_count) == ([], 1)
    assert not Patch.objects.exists()
    assert not PatchedName.objects.exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"\x28\xb5\x2f\xfd",
        b"PK\x03\x04",
        b"BZh9",
        encoded(instructions(3)),
        encoded(instructions(packages=[])),
        encoded(instructions(packages={"lib-1.0-0.conda": []})),
        encoded(instructions(packages={"lib-1.0-0.conda": {"depends": "zlib"}})),
        encoded(instructions(packages={"lib-1.0-0.conda": {"depends": ["a b c d"]}})),
        encoded(instructions(2, packages={"lib-1.0-0.conda": {"run_exports": []}})),
        encoded(instructions(remove="all")),
        encoded(instructions(remove=[1])),
        encoded(instructions(packages={"no name": {"license": "MIT"}})),
        b'{"packages": {"a-1-0.conda": {"license": "A", "license": "B"}}}',
        tar_bz2({"other/file": b"{}"}),
        tar_bz2({"noarch/patch_instructions.json": b"["}),
        conda({}),
        conda({"not_a_subdir/patch_instructions.json": b"{}"}),
        zstandard.compress(b" " * (33 * 1024 * 1024)),
        zstandard.compress(b'{"packages": {}, "x": [' + b"[]," * 5_000_000 + b"1]}"),
    ],
)
def test_bad_file_is_refused(channel: Channel, olga: User, data: bytes) -> None:
    with pytest.raises(HubError) as error:
        run(channel, olga, data)
    assert (error.value.status, error.value.code) == (422, "bad_patch")
    assert not Patch.objects.exists()


def test_import_by_a_key_of_some_names_is_limited_to_them(channel: Channel, olga: User) -> None:
    key = api_keys.look_up(make_key(olga, scopes=("read", "manage"), package_globs=["lib*"]))
    actor = Actor(user=olga, key=key)
    run(channel, olga, encoded(instructions(packages={"lib-1.0-0.conda": {"license": "A"}})), actor=actor)
    with pytest.raises(HubError) as error:
        run(channel, olga, encoded(instructions(packages={"other-1.0-0.conda": {"license": "A"}})), actor=actor)
    assert (error.value.status, error.value.code) == (403, "name_not_allowed")


def test_imported_patch_can_not_be_edited(channel: Channel, olga: User) -> None:
    patch = import_(channel, olga, packages={"lib-1.0-0.conda": {"license": "A"}}).patch
    assert patch
    caller = by_key(olga, "read", "manage")
    answer = caller.put(f"channels/demo/patches/{patch.pk}", {"title": "t", "changes": {"license": "B"}})
    assert code(answer) == (409, "patch_imported")


def test_file_is_imported_by_the_api_as_body_or_as_artifact(channel: Channel, olga: User) -> None:
    make_artifact(channel, "lib")
    data = encoded(instructions(packages={"lib-1.0-0.conda": {"license": "A"}}))
    caller = by_key(olga, "read", "manage")
    path = "/api/v1/channels/demo/patches/imports?"
    octets: dict[str, Any] = {"content_type": "application/octet-stream"}
    answer = caller.client.post(f"{path}subdir=noarch&source=p.json&dry_run=true", data, **octets)
    assert (answer.status_code, answer.json()["record_count"], answer.json()["patches"]) == (200, 1, [])
    answer = caller.client.post(f"{path}subdir=noarch&source=p.json", data, **octets).json()
    assert [patch["title"] for patch in answer["patches"]] == ["p.json for noarch"]
    package = conda({"noarch/patch_instructions.json": encoded(instructions(remove=["lib-1.0-0.conda"]))})
    artifact = make_artifact(channel, "patches", size_bytes=len(package))
    store().put("demo/noarch/patches-1.0-0.conda", package)
    answer = caller.post(f"channels/demo/patches/imports?artifact=noarch/{artifact.file_name}").json()
    assert answer["patches"][0]["source"] == "patches-1.0-0.conda"
    assert answer["records"][0]["keys"] == {"license": ["A", None], "removed": [False, True]}
    missing = caller.post("channels/demo/patches/imports?artifact=noarch/x")
    assert code(missing)[0] == 404
