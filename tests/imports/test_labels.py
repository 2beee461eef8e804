"""Labels of imports: files from the URL of a label, and the label that they get."""

from functools import partial
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.models import ApiKey, Artifact, AuditEvent, Channel, Label, Role, User
from publishing.imports import imports, runs
from publishing.imports.imports import Wanted
from publishing.labels import labels
from publishing.models import Import, ImportState
from publishing.uploads import upload
from tests.archives import make_conda
from tests.builders import make_channel, make_key, make_member, make_user, received
from tests.imports.conftest import Importing
from tests.imports.source import SourceServer, source_server
from tests.pages import signed_in, text
from tests.sample_channel import build_index
from tests.virtual.channels import file_names

pytestmark = pytest.mark.django_db
API, PAGE = "/api/v1/channels/demo/imports", "/channels/demo/settings/imports"
LIBS = {"noarch/lib-1.0-0.conda", "noarch/lib-1.1-0.conda", "noarch/lib-2.0-0.conda"}


def labels_of(channel: str = "demo") -> dict[str, set[str]]:
    """Return path → labels."""
    rows = Artifact.objects.filter(channel__name=channel)
    return {
        row.path: set(row.labels.values_list("name", flat=True)) | ({"main"} if row.is_main else set()) for row in rows
    }


def test_label_of_a_hub_is_imported_into_another_label(
    channel: Channel, olga: User, tmp_path: Path, settings: Settings
) -> None:
    for name, chosen in (("lib", ("dev",)), ("both", ("dev", "main")), ("other", ())):
        package = received(make_conda(tmp_path, name=name))
        upload.publish(actor=Actor(olga), channel=channel, received=package, labels=chosen)
    build_index(channel)
    copy = make_channel("copy", owner=olga)
    with source_server(tmp_path / "channels", settings) as server:
        # The hub serves the packages of a label below its folder, too, and stores them once.
        for name in ("lib", "both"):
            path = f"noarch/{name}-1.0-0.conda"
            server.answers[f"/demo/label/dev/{path}"] = partial(server.answer, f"/demo/{path}", {})
        wanted = Wanted(f"{server.url}/demo/label/dev", subdirs=["noarch"], label="rc")
        job = imports.start(actor=Actor(olga), channel=copy, wanted=wanted)
        runs.run(job.pk)
    job.refresh_from_db()
    assert [file.reason for file in job.refused.all()] == []
    assert (job.state, job.failure, job.imported_files) == (ImportState.DONE, "", 2)
    assert labels_of("copy") == {"noarch/both-1.0-0.conda": {"rc"}, "noarch/lib-1.0-0.conda": {"rc"}}
    build_index(copy)
    assert file_names("copy") == []
    assert file_names("copy/label/rc") == ["both-1.0-0.conda", "lib-1.0-0.conda"]


def test_files_of_the_channel_get_the_label_in_addition_and_once(imported: Importing, source: SourceServer) -> None:
    imported(include=["lib <2"])
    source.requests.clear()
    job = imported(include=["lib"], label="dev")
    assert (job.state, job.present_files, job.imported_files) == (ImportState.DONE, 2, 1)
    assert labels_of() == {
        "noarch/lib-1.0-0.conda": {"main", "dev"},
        "noarch/lib-1.1-0.conda": {"main", "dev"},
        "noarch/lib-2.0-0.conda": {"dev"},
    }
    assert source.packages() == ["/noarch/lib-2.0-0.conda"]
    events = AuditEvent.objects.filter(action="artifact.label")
    assert events.count() == 2
    assert imported(include=["lib"], label="dev").present_files == 3
    assert events.count() == 2
    # Without a label, an import leaves the labels of files alone.
    imported(include=["lib"])
    assert labels_of()["noarch/lib-2.0-0.conda"] == {"dev"}
    imported(include=["lib"], label="main")
    assert labels_of()["noarch/lib-2.0-0.conda"] == {"dev", "main"}


def test_other_bytes_of_the_channel_get_no_label(
    imported: Importing, channel: Channel, olga: User, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    mine = make_conda(tmp_path / "mine", name="other", files={"share/mine": b"mine"})
    upload.publish(actor=Actor(olga), channel=channel, received=received(mine))
    job = imported(include=["other"], label="dev")
    assert (job.state, job.refused.count()) == (ImportState.DONE, 1)
    assert labels_of() == {"noarch/other-1.0-0.conda": {"main"}}
    assert not Label.objects.exists()


def test_key_for_some_names_labels_no_other_files(
    imported: Importing, channel: Channel, olga: User, source: SourceServer
) -> None:
    imported()
    make_key(olga, package_globs=["lib"])
    wanted = Wanted(source.url, subdirs=["noarch"], label="dev")
    job = imports.start(actor=Actor(user=olga, key=ApiKey.objects.get()), channel=channel, wanted=wanted)
    runs.run(job.pk)
    [refused] = job.refused.all()
    assert (str(refused), "limited to other package names" in refused.reason) == ("noarch/other-1.0-0.conda", True)
    assert {path for path, names in labels_of().items() if "dev" in names} == LIBS


def test_label_that_is_deleted_meanwhile_fails_the_import_which_can_be_resumed(
    start: Importing, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start(label="dev")
    with monkeypatch.context() as patch:
        patch.setattr(labels, "ensure", lambda **_: None)
        runs.run(job.pk)
    job.refresh_from_db()
    assert (job.state, "was deleted meanwhile" in job.failure) == (ImportState.FAILED, True)
    assert not Artifact.objects.exists()
    imports.resume(actor=Actor(olga), channel=job.channel, import_id=job.pk)
    runs.run(job.pk)
    assert set(map(frozenset, labels_of().values())) == {frozenset({"dev"})}


@pytest.mark.parametrize(("label", "code"), [("Dev", "bad_label"), ("a/b", "bad_label"), ("dev", "labels_limit")])
def test_label_that_can_not_be_is_refused_at_once(
    channel: Channel, olga: User, source: SourceServer, monkeypatch: pytest.MonkeyPatch, label: str, code: str
) -> None:
    monkeypatch.setattr(labels, "LABELS_MAX", 0)
    client = Client(headers={"Authorization": f"Bearer {make_key(olga)}"})
    for dry_run in (True, False):
        body = {"source": source.url, "label": label, "dry_run": dry_run}
        assert client.post(API, body, content_type="application/json").json()["code"] == code
    assert not Import.objects.exists()
    assert source.requests == []


def test_page_starts_an_import_with_a_label_and_shows_it(channel: Channel, olga: User, source: SourceServer) -> None:
    client = signed_in(olga)
    wanted = {"action": "start", "source": source.url, "key_kind": "none", "label": "Dev", "newest_versions": "2"}
    client.post(PAGE, wanted)
    job = Import.objects.get()
    assert (job.label, job.newest_versions) == ("dev", 2)
    assert "<dt>Label</dt><dd>dev</dd>" in text(client.get(f"{PAGE}/{job.pk}"))
    assert "is not a label" in text(client.post(PAGE, wanted | {"label": "a/b"}))


def test_contributor_imports_into_a_label_and_others_do_not(channel: Channel, olga: User, source: SourceServer) -> None:
    eve = make_user("eve")
    assert signed_in(eve).post(PAGE, {"action": "start", "source": source.url, "label": "dev"}).status_code == 404
    carl = make_user("carl")
    make_member(channel, carl, Role.CONTRIBUTOR)
    client = Client(headers={"Authorization": f"Bearer {make_key(carl)}"})
    body = {"source": source.url, "subdirs": ["noarch"], "label": "dev"}
    assert client.post(API, body, content_type="application/json").status_code == 201
    runs.work()
    assert set(labels_of()) == LIBS | {"noarch/other-1.0-0.conda"}


def test_command_gives_files_a_label(channel: Channel, source: SourceServer) -> None:
    options = ("--into", "demo", "--subdir", "noarch", "--include", "lib", "--label")
    call_command("importchannel", source.url, *options[:-1], stdout=StringIO())
    call_command("importchannel", source.url, *options, "Dev", stdout=StringIO())
    assert labels_of() == {path: {"main", "dev"} for path in LIBS}
    with pytest.raises(CommandError, match="is not a label"):
        call_command("importchannel", source.url, *options, "a/b", stdout=StringIO())
