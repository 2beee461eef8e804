"""Import of packages from the store: after a loss of the database, after an interruption, and from a plain folder."""

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from channels_app.access.permissions import Actor
from channels_app.models import AboutDocument, Artifact, AuditEvent, Channel, Removal, User
from hub.storage import StoreError, store
from publishing.imports import old_indexes, stored
from publishing.removal import removal
from publishing.transfer import channel_import
from publishing.uploads import upload, values
from publishing.verification import unknown_files
from tests import sigstore
from tests.archives import make_conda, make_tar_bz2
from tests.builders import make_channel, make_publisher, make_short_lived_token, make_user, received
from tests.clients.reader import Reader
from tests.clients.test_store import web_server
from tests.sample_channel import build_index, found, publish, read

FACTS = (
    *("subdir", "file_name", "version", "build", "build_number", "revision", "size_bytes", "sha256", "md5"),
    *("index_json", "about_json", "run_exports", "features", "files", "file_count", "indexed_timestamp", "removal"),
    "attestations_sha256",
)


def run(*arguments: str) -> tuple[int, list[str]]:
    out, code = StringIO(), 0
    try:
        call_command("importchannel", *arguments, stdout=out)
    except SystemExit as end:
        code = int(str(end.code))
    return code, out.getvalue().splitlines()


def facts() -> list[dict[str, Any]]:
    """Return the rows without the times of removed artifacts, which no index has."""
    rows = Artifact.objects.order_by("subdir", "file_name").values(*FACTS)
    return [row | ({"indexed_timestamp": 0} if row["removal"] else {}) for row in rows]


def records(subdir: str = "noarch") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(read(f"demo/{subdir}/repodata.json"))
    return content


@pytest.fixture
def published(
    channel: Channel, olga: User, tmp_path: Path, settings: Settings,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> Channel:  # fmt: skip
    """Publish packages of both formats long ago: one yanked, one of revision 3, one attested."""
    root = tmp_path / "trusted_root.json"
    root.write_text(sigstore.instance().trusted_root_json)
    settings.HUB_TRUST_ROOT = str(root)
    publish(channel, olga, make_conda(tmp_path, name="lib"))
    publish(channel, olga, make_tar_bz2(tmp_path, name="app", subdir="linux-64"))
    publish(channel, olga, make_conda(tmp_path, name="new", depends=["lib[extras=[a]]"]))
    gone = publish(channel, olga, make_conda(tmp_path, name="gone"))
    arrived = received(make_conda(tmp_path, name="attested"))
    statement = sigstore.statement(arrived.file_name, arrived.sha256, f"{settings.HUB_PUBLIC_URL}/{channel}")
    with django_capture_on_commit_callbacks(execute=True):
        upload.publish(
            actor=Actor(key=make_short_lived_token(make_publisher(channel))[0]),
            channel=channel,
            received=replace(arrived, attestation=sigstore.instance().bundle(statement)),
        )
    removal.yank(actor=Actor(user=olga), artifact=gone, reason="broken")
    Artifact.objects.update(indexed_timestamp=1_700_000_000_123)
    build_index(channel)
    call_command("reindex", "demo", stdout=StringIO())
    return channel


def lose_the_database() -> None:
    Channel.objects.all().delete()


def test_a_lost_database_is_made_again(published: Channel, olga: User, store_folder: Path) -> None:
    before = facts(), records(), records("linux-64"), {key: read(key) for key in store().list("") if ".conda" in key}
    lose_the_database()
    assert run("demo", "--owner", "olga", "--public") == (
        0,
        ["demo: imported: 5, not imported: 0, yanked: 1."],
    )
    after = facts(), records(), records("linux-64"), {key: read(key) for key in store().list("") if ".conda" in key}
    assert after == before
    channel = Channel.objects.get()
    assert (channel.is_private, [member.user for member in channel.members.all()]) == (False, [olga])
    assert set(Artifact.objects.values_list("uploaded_by", flat=True)) == {None}
    assert Artifact.objects.get(removal=Removal.YANKED).removal_reason == channel_import.YANKED
    assert AuditEvent.objects.filter(action="artifact.import").count() == 5
    assert not [key for key in store().list("") if key.endswith(unknown_files.OLD_REPODATA)]
    assert found(channel, is_hashed=True) == []
    with web_server(store_folder) as url:
        assert len(Reader(f"{url}/demo").records()) == 4


def test_second_import_creates_no_row(published: Channel) -> None:
    lose_the_database()
    run("demo", "--owner", "olga")
    before = facts(), AuditEvent.objects.count()
    assert run("demo", "--owner", "olga")[1][-1].startswith("demo: imported: 0, not imported: 0")
    assert (facts(), AuditEvent.objects.count()) == before


@pytest.mark.parametrize("nth", [1, 3, 8])
def test_interrupted_import_continues(published: Channel, monkeypatch: pytest.MonkeyPatch, nth: int) -> None:
    before = facts(), records(), records("linux-64")
    lose_the_database()
    original, calls = old_indexes.copied_from_store, []

    def die(key: str, **more: Any) -> Any:
        calls.append(key)
        if len(calls) == nth:
            raise StoreError("The store could not open it: gone")
        return original(key, **more)

    with monkeypatch.context() as patch:
        for module in (old_indexes, stored):
            patch.setattr(module, "copied_from_store", die)
        with pytest.raises(CommandError, match=r"gone\. Run the command again: it continues where it stopped\."):
            run("demo", "--owner", "olga")
    for channel in Channel.objects.all():
        # As a worker does during the import.
        build_index(channel)
    assert run("demo", "--owner", "olga")[0] == 0
    assert (facts(), records(), records("linux-64")) == before


def put(path: Path, key: str) -> None:
    store().put(key, path)


REFUSED: dict[str, tuple[Callable[[Path], Path], str, str]] = {
    "no package": (lambda folder: Path(__file__), "noarch/lib-1.0-0.conda", "lib-1.0-0.conda was refused: "),
    "another name": (make_conda, "noarch/lib-1.0-0.conda", "lib-1.0-0.conda was refused: "),
    "another subdir": (make_conda, "linux-64/demo-1.0-0.conda", "Its path should be noarch/demo-1.0-0.conda; move"),
    "too large": (
        lambda folder: make_conda(folder, files={"big": bytes(range(256)) * 999}, compress=lambda data: data),
        "noarch/demo-1.0-0.conda",
        "demo-1.0-0.conda was refused: ",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_import_of_a_bad_package_is_refused(olga: User, tmp_path: Path, case: str, settings: Settings) -> None:
    settings.HUB_MAX_UPLOAD_BYTES = 100_000
    make, place, reason = REFUSED[case]
    put(make(tmp_path), f"demo/{place}")
    code, lines = run("demo", "--owner", "olga")
    assert (code, lines[-1]) == (1, "demo: imported: 0, not imported: 1, yanked: 0.")
    assert lines[0].startswith(f"demo/{place}: {reason}")
    assert store().stat(f"demo/{place}")
    assert not Artifact.objects.exists()


def test_a_plain_folder_is_taken_in(olga: User, tmp_path: Path) -> None:
    put(make_conda(tmp_path, name="lib"), "plain/noarch/lib-1.0-0.conda")
    put(make_tar_bz2(tmp_path, name="app", subdir="osx-64"), "plain/osx-64/app-1.0-0.tar.bz2")
    store().put(
        "plain/noarch/repodata.json", b'{"packages.conda": {"lib-1.0-0.conda": {"sha256": "00"}}, "removed": null'
    )
    store().put("plain/index.html", b"<html>")
    assert run("plain", "--owner", "olga")[1][-1] == "plain: imported: 2, not imported: 0, yanked: 0."
    assert Artifact.objects.filter(indexed_timestamp__gt=1_750_000_000_000).count() == 2
    assert read("plain/index.html") == b"<html>"


def test_a_long_about_json_is_kept_whole(olga: User, tmp_path: Path) -> None:
    about = json.dumps({"description": "x" * 20_000}).encode()
    put(make_conda(tmp_path, name="lib", info={"about.json": about}), "demo/noarch/lib-1.0-0.conda")
    assert run("demo", "--owner", "olga") == (0, ["demo: imported: 1, not imported: 0, yanked: 0."])
    assert AboutDocument.objects.get().artifact == Artifact.objects.get()


def test_old_facts_of_other_bytes_are_not_believed(olga: User, tmp_path: Path) -> None:
    path = make_conda(tmp_path, name="lib")
    put(path, "demo/noarch/lib-1.0-0.conda")
    old = {"sha256": received(path).sha256, "indexed_timestamp": 99_999_999_999_999}
    gone = {"sha256": "0" * 64, "indexed_timestamp": 5}
    index = {"packages.conda": {"lib-1.0-0.conda": old, "lost-1.0-0.conda": gone}}
    store().put("demo/noarch/repodata.json", json.dumps(index).encode())
    assert run("demo", "--owner", "olga") == (
        1,
        [
            "demo/noarch/lost-1.0-0.conda: The old index lists it, and it is not in the store.",
            "demo: imported: 1, not imported: 1, yanked: 0.",
        ],
    )
    assert Artifact.objects.get().indexed_timestamp < 99_999_999_999_999


@pytest.mark.parametrize(
    ("sidecar", "note"),
    [
        (b"{", "Its attestations were left out: the sidecar can't be read: "),
        (b'[{"a":1}]', "Its attestations were left out: The attestation of lib-1.0-0.conda was refused: "),
        (b"[ ]", "Its attestations were left out: the sidecar is not in the form that the hub keeps."),
    ],
)
def test_attestations_that_do_not_hold_are_left_out(olga: User, tmp_path: Path, sidecar: bytes, note: str) -> None:
    put(make_conda(tmp_path, name="lib"), "demo/noarch/lib-1.0-0.conda")
    store().put("demo/noarch/lib-1.0-0.conda.sigs", sidecar)
    code, lines = run("demo", "--owner", "olga")
    assert code == 0
    assert lines[0].startswith(f"demo/noarch/lib-1.0-0.conda: {note}")
    assert Artifact.objects.get().attestations_sha256 == ""


def test_an_upload_that_is_under_way_keeps_its_name(olga: User, tmp_path: Path) -> None:
    channel = make_channel(owner=olga)
    path = make_conda(tmp_path, name="lib")
    put(path, "demo/noarch/lib-1.0-0.conda")
    other = replace(received(path), sha256="0" * 64)
    upload.reserve(values.Upload(Actor(user=olga), channel, other, upload.read(channel, received(path))))
    code, lines = run("demo", "--owner", "olga")
    assert code == 1
    assert "Other bytes are being uploaded as lib-1.0-0.conda at this moment." in lines[0]


def test_it_needs_an_owner_and_a_name_that_a_channel_can_have(olga: User) -> None:
    with pytest.raises(CommandError, match="There is no user 'nobody'"):
        run("demo", "--owner", "nobody")
    with pytest.raises(CommandError, match="can't name a channel"):
        run("../demo", "--owner", "olga")


def test_a_sidecar_that_another_put_is_verified_for_this_file(published: Channel) -> None:
    make_user("max")
    sigs = read("demo/noarch/attested-1.0-0.conda.sigs")
    lose_the_database()
    store().put("demo/noarch/lib-1.0-0.conda.sigs", sigs)
    _, lines = run("demo", "--owner", "olga")
    assert lines[0].startswith("demo/noarch/lib-1.0-0.conda: Its attestations were left out: The attestation of ")
