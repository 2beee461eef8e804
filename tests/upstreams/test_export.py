"""`manage.py exportchannel`: the packages that the hub holds, as a folder that another hub imports."""

import hashlib
import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from channels_app.models import Artifact, Channel, ChannelKind, User
from hub.storage import store
from hub.storage.folder import FolderStore
from tests.archives import make_conda
from tests.builders import make_channel
from tests.upstreams.fake import FakeUpstream, record
from tests.upstreams.test_sync import poll

pytestmark = pytest.mark.django_db
LIB, OTHER = "lib-1.0-0.conda", "other-1.0-0.conda"


@pytest.fixture
def usb(tmp_path: Path) -> Path:
    return tmp_path / "usb"


@pytest.fixture
def half_cached(mirror: Channel, forge: FakeUpstream, tmp_path: Path) -> Channel:
    """Return the upstream channel with three packages, of which `lib` is in the cache."""
    content = make_conda(tmp_path, name="lib").read_bytes()
    forge.publish(forge.add_package("lib", content), forge.add_package("other", b"other"), record("gone"))
    poll(mirror)
    cache(LIB)
    return mirror


def cache(file_name: str) -> None:
    b"".join(Client().get(f"/mirror/noarch/{file_name}"))


def export(folder: Path, channel: str = "mirror") -> str:
    out = StringIO()
    call_command("exportchannel", channel, str(folder), stdout=out)
    return out.getvalue()


def records(folder: Path) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = json.loads((folder / "noarch/repodata.json").read_text())["packages.conda"]
    return found


def test_upstream_channel_is_exported_as_its_cached_packages_alone(half_cached: Channel, usb: Path) -> None:
    assert export(usb).endswith("mirror: 1 files written, 0 there before.\n")

    assert sorted(path.name for path in (usb / "noarch").iterdir()) == [LIB, "repodata.json"]
    served = json.loads(b"".join(Client().get("/mirror/noarch/repodata.json")))["packages.conda"]
    assert records(usb) == {LIB: served[LIB]}


def test_export_brings_the_sidecars_in_the_cache_and_calls_no_other_lost(
    mirror: Channel, forge: FakeUpstream, usb: Path
) -> None:
    digest = hashlib.sha256(b"[]").hexdigest()
    attested = {"attestations_sha256": digest}
    forge.publish(forge.add_package("lib", b"lib", **attested), forge.add_package("other", b"other", **attested))
    forge.files[f"noarch/{LIB}.sigs.{digest}"] = b"[]"
    poll(mirror)
    for name in (LIB, OTHER, f"{LIB}.sigs.{digest}"):
        cache(name)

    assert export(usb).endswith("mirror: 3 files written, 0 there before.\n")
    assert (usb / f"noarch/{LIB}.sigs").read_bytes() == b"[]"


def test_another_hub_imports_the_exported_folder_with_its_times(half_cached: Channel, usb: Path) -> None:
    export(usb)

    call_command("importchannel", str(usb), "--into", "copy", "--owner", "olga", stdout=StringIO())

    artifact = Artifact.objects.get()
    listed = records(usb)[LIB]
    assert (artifact.sha256, artifact.indexed_timestamp) == (listed["sha256"], listed["indexed_timestamp"])


def test_second_export_writes_new_and_damaged_files_alone(half_cached: Channel, usb: Path) -> None:
    export(usb)
    cache(OTHER)
    assert export(usb).endswith("1 files written, 1 there before.\n")
    (usb / "noarch" / LIB).write_bytes(b"half")
    assert export(usb).endswith("1 files written, 1 there before.\n")
    assert sorted(records(usb)) == [LIB, OTHER]


def test_package_that_the_store_changed_or_lost_is_named_and_left_out(half_cached: Channel, usb: Path) -> None:
    cache(OTHER)
    store().put(f"mirror/noarch/{LIB}", b"changed")
    store().delete(f"mirror/noarch/{OTHER}")
    with pytest.raises(CommandError) as raised:
        export(usb)
    assert all(f"noarch/{name}" in str(raised.value) for name in (LIB, OTHER))
    assert records(usb) == {}
    assert not (usb / "noarch" / LIB).exists()


def test_channel_of_the_hub_is_exported_with_its_attestations(channel_with_packages: Channel, usb: Path) -> None:
    export(usb, "demo")

    served = json.loads(b"".join(store().open("demo/noarch/repodata.json")))
    assert json.loads((usb / "noarch/repodata.json").read_text()) == served
    assert (usb / "noarch/mine-1.0-0.conda.sigs").read_bytes() == b"".join(
        store().open("demo/noarch/mine-1.0-0.conda.sigs")
    )


def test_virtual_and_missing_channels_are_refused(olga: User, usb: Path) -> None:
    make_channel("all", owner=olga, kind=ChannelKind.VIRTUAL)
    for name in ("all", "nothing"):
        with pytest.raises(CommandError):
            export(usb, name)
    assert not usb.exists()


def test_folder_of_the_hubs_own_store_is_refused(half_cached: Channel, usb: Path) -> None:
    own = store()
    assert isinstance(own, FolderStore)
    usb.symlink_to(own.root)
    before = b"".join(own.open("mirror/noarch/repodata.json"))
    for folder in (usb, usb / "mirror"):
        with pytest.raises(CommandError):
            export(folder)
    assert b"".join(own.open("mirror/noarch/repodata.json")) == before


def test_folder_that_takes_no_file_is_told_and_the_next_export_goes_on(half_cached: Channel, usb: Path) -> None:
    usb.mkdir()
    (usb / "noarch").write_text("a file in place of the folder")
    with pytest.raises(CommandError):
        export(usb)
    (usb / "noarch").unlink()
    assert export(usb).endswith("1 files written, 0 there before.\n")


def test_damaged_index_is_told(half_cached: Channel, usb: Path) -> None:
    store().put("mirror/noarch/repodata.json", b'{"packages": {')
    with pytest.raises(CommandError):
        export(usb)
    assert not (usb / "noarch/repodata.json").exists()
