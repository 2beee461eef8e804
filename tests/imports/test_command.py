"""`manage.py importchannel SOURCE --into CHANNEL`, from a folder, a bucket and a URL."""

import json
import shutil
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from channels_app.models import Artifact, AuditEvent, Channel, User
from publishing.imports import runs
from publishing.models import Import
from tests.archives import make_conda
from tests.imports.source import SourceServer, make_source
from tests.sample_channel import publish, read

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("importchannel", *arguments, stdout=out)
    return out.getvalue()


def names() -> list[str]:
    return sorted(artifact.file_name for artifact in Artifact.objects.all())


def test_folder_is_imported_into_a_new_channel(tmp_path: Path, olga: User) -> None:
    folder = make_source(tmp_path / "usb")

    output = run(str(folder), "--into", "copy", "--owner", "olga", "--public", "--exclude", "other")

    assert output == "copy: imported: 4, there before: 0, refused: 0.\n"
    assert names() == ["app-1.0-0.tar.bz2", "lib-1.0-0.conda", "lib-1.1-0.conda", "lib-2.0-0.conda"]
    assert len(json.loads(read("copy/noarch/repodata.json"))["packages.conda"]) == 3
    assert not Channel.objects.get(name="copy").is_private
    assert Import.objects.get().source == "the folder usb"
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"import.start", "import.end", "artifact.import"} <= actions


def test_folder_without_an_index_is_imported(tmp_path: Path, channel: Channel) -> None:
    (tmp_path / "plain/noarch").mkdir(parents=True)
    make_conda(tmp_path / "plain/noarch", name="lib")
    (tmp_path / "plain/noarch/notes.txt").write_text("no package")

    assert run(str(tmp_path / "plain"), "--into", "demo") == "demo: imported: 1, there before: 0, refused: 0.\n"


def test_store_of_a_hub_is_the_export_for_another(tmp_path: Path, channel: Channel, olga: User) -> None:
    """The folder of a channel in the store, copied, has all that an import needs: the air gap."""
    publish(channel, olga, make_conda(tmp_path, name="lib"))
    Artifact.objects.update(indexed_timestamp=1_700_000_000_123)
    call_command("reindex", "demo", stdout=StringIO())
    shutil.copytree(tmp_path / "channels/demo", tmp_path / "usb")

    run(str(tmp_path / "usb"), "--into", "copy", "--owner", "olga")

    both = Artifact.objects.values_list("channel__name", "sha256", "indexed_timestamp").order_by("channel__name")
    assert [name for name, *_ in both] == ["copy", "demo"]
    assert both[0][1:] == both[1][1:]
    assert both[0][2] == 1_700_000_000_123


def test_url_is_imported_with_a_key_from_a_file(tmp_path: Path, channel: Channel, source: SourceServer) -> None:
    source.credential = ("X-API-Key", "s3cr3t")
    (tmp_path / "key").write_text("s3cr3t\n")
    filters = ("--subdir", "noarch", "--include", "lib", "--newest", "2")
    options = ("--key-kind", "x-api-key", "--key-file", str(tmp_path / "key"))

    assert run(source.url, "--into", "demo", *filters, *options) == "demo: imported: 2, there before: 0, refused: 0.\n"
    assert Import.objects.get().encrypted_key == ""


def test_second_command_continues(tmp_path: Path, channel: Channel) -> None:
    folder = make_source(tmp_path / "usb")
    (folder / "noarch/lib-1.0-0.conda").write_bytes(b"broken")
    with pytest.raises(SystemExit):
        run(str(folder), "--into", "demo")
    job = Import.objects.get()
    Import.objects.update(state="running")  # as a killed command leaves it
    shutil.rmtree(folder)
    make_source(folder)

    assert run(str(folder), "--into", "demo") == "demo: imported: 1, there before: 4, refused: 0.\n"
    assert Import.objects.get().pk == job.pk


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("/nowhere", "--into", "demo"), "There is no folder /nowhere"),
        (("https://example.org/t/key/x", "--into", "demo"), "contains a key"),
        ((".", "--into", "demo", "--include", ">="), "expected one like"),
        ((".", "--into", "demo", "--newest", "0"), "expected 1 to 10,000"),
        ((".", "--into", "fresh"), "--owner"),
        (("fresh",), "--owner"),
        ((".", "--into", "fresh", "--owner", "nobody"), "There is no user"),
    ],
)
def test_bad_arguments_are_told(channel: Channel, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        run(*arguments)
    assert not Import.objects.exists()


def test_hub_leaves_the_import_of_a_command_alone(channel: Channel) -> None:
    Import.objects.create(channel=channel, source="the folder usb", is_by_operator=True)
    runs.work()
    assert Import.objects.get().state == "running"
