"""Import of labels from their indexes in the store."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, AuditEvent, Channel, Removal, User
from hub.storage import StoreError, store
from publishing.imports import old_indexes, stored
from publishing.index import builds
from publishing.labels import artifact_labels, edits, labels, queries
from publishing.removal import removal
from publishing.verification.unknown_files import OLD_REPODATA
from tests.archives import make_conda
from tests.builders import make_channel
from tests.sample_channel import found, publish, read
from tests.transfer.test_channel_import import run

pytestmark = pytest.mark.django_db
HOSTILE_NAMES = ["../../else/noarch/a-1-0.conda", "a\0-1-0.conda", "a\n-1-0.conda", "", "a" * 5000 + "-1-0.conda"]
NO_INDEXES = [b"", b"[]", b"[" * 5000, b'{"v3": [5]}', b'{"packages": {"a": NaN}}', b'{"removed": 5}']
EXPECTED = {"both": {"main", "rc"}, "dev": {"dev"}, "gone": {"rc"}, "lib": {"main"}}


def label(channel: Channel, olga: User, name: str, *names: str) -> None:
    selection = channel.artifacts.filter(package__name=name)
    artifact_labels.edit_selection(
        actor=Actor(user=olga), channel=channel, selection=selection, edit=edits.exactly(names)
    )


@pytest.fixture
def labeled(channel: Channel, olga: User, tmp_path: Path) -> Channel:
    """Publish packages with the labels of EXPECTED, one of them yanked, and an empty label; build the indexes."""
    for name, names in EXPECTED.items():
        publish(channel, olga, make_conda(tmp_path, name=name, subdir="linux-64" if name == "dev" else "noarch"))
        label(channel, olga, name, *sorted(names))
    labels.create(actor=Actor(user=olga), channel=channel, name="empty")
    removal.yank(actor=Actor(user=olga), artifact=Artifact.objects.get(package__name="gone"), reason="")
    Artifact.objects.update(indexed_timestamp=1_700_000_000_123)
    builds.open_channel(channel)
    for index in channel.indexes.exclude(subdir=""):
        builds.rebuild(index)
    builds.build_channel(channel)
    return channel


def all_labels() -> dict[str, set[str]]:
    artifacts = list(Artifact.objects.select_related("package"))
    names = queries.names_of(artifacts)
    return {artifact.package.name: set(names[artifact.pk]) for artifact in artifacts}


def indexes() -> dict[str, Any]:
    """Return the content of each repodata.json, without the times of removed artifacts."""
    return {key: json.loads(read(key)) for key in store().list("demo/") if key.endswith("/repodata.json")}


def test_labels_of_a_lost_database_are_made_again(labeled: Channel) -> None:
    before = indexes()
    labeled.delete()
    code, lines = run("demo", "--owner", "olga")
    assert (code, lines) == (
        0,
        [
            "demo: labels: 3. Set their ends again; the store has none.",
            "demo: imported: 4, not imported: 0, yanked: 1.",
        ],
    )
    channel = Channel.objects.get()
    assert all_labels() == EXPECTED
    assert channel.artifacts.get(removal=Removal.YANKED).package.name == "gone"
    assert set(channel.labels.values_list("name", flat=True)) == {"dev", "empty", "rc"}
    assert indexes() == before
    assert len(before) == 6
    assert AuditEvent.objects.filter(action="label.create", channel=channel, actor=None).count() == 3
    assert not [key for key in store().list("") if key.endswith(OLD_REPODATA)]
    assert found(channel, is_hashed=True) == []
    assert run("demo", "--owner", "olga") == (0, ["demo: imported: 0, not imported: 0, yanked: 1."])
    assert all_labels() == EXPECTED


def test_labels_return_after_an_interrupted_import_and_builds(
    labeled: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = indexes()
    labeled.delete()
    original = old_indexes.copied_from_store

    def die(key: str, **limit: int) -> Any:
        if "lib" in key:
            raise StoreError("The store could not open it: gone")
        return original(key, **limit)

    with monkeypatch.context() as patch:
        patch.setattr(stored, "copied_from_store", die)
        with pytest.raises(CommandError, match="gone"):
            run("demo", "--owner", "olga")
    builds.build_channel(Channel.objects.get())  # as a worker does during the import
    assert indexes() != before
    assert run("demo", "--owner", "olga")[0] == 0
    assert (all_labels(), indexes()) == (EXPECTED, before)


def test_packages_that_a_backup_lacks_get_labels_that_it_lacks(labeled: Channel) -> None:
    Artifact.objects.filter(package__name__in=("both", "dev")).delete()
    labeled.labels.filter(name="dev").delete()
    label_id = labeled.labels.get(name="rc").pk
    assert run("demo", "--owner", "olga")[1][-1] == "demo: imported: 2, not imported: 0, yanked: 0."
    assert all_labels() == EXPECTED
    assert labeled.labels.get(name="rc").pk == label_id


@pytest.mark.parametrize("name", ["Release Candidates", "main", "x" * 65, "-x"])
def test_folder_that_is_no_label_stops_the_import_before_its_first_row(olga: User, tmp_path: Path, name: str) -> None:
    store().put("demo/noarch/lib-1.0-0.conda", make_conda(tmp_path, name="lib"))
    store().put(f"demo/label/{name}/noarch/repodata.json", b"{}")
    with pytest.raises(CommandError, match=f"demo/label/{name}/ can't be the folder of a label"):
        run("demo", "--owner", "olga")
    assert not Channel.objects.exists()


def test_more_labels_than_a_channel_can_have_stop_the_import_before_its_first_row(
    olga: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store().put("demo/noarch/lib-1.0-0.conda", make_conda(tmp_path, name="lib"))
    for name in ("dev", "rc"):
        store().put(f"demo/label/{name}/noarch/repodata.json", b"{}")
    monkeypatch.setattr(labels, "LABELS_MAX", 1)
    with pytest.raises(CommandError, match="'demo' can have 1 labels at most"):
        run("demo", "--owner", "olga")
    assert not Channel.objects.exists()
    assert not [key for key in store().list("demo/") if key.endswith(OLD_REPODATA)]


def test_unreadable_index_of_a_label_stops_the_import_of_its_subdir(olga: User, tmp_path: Path) -> None:
    store().put("demo/noarch/lib-1.0-0.conda", make_conda(tmp_path, name="lib"))
    store().put("demo/label/rc/noarch/repodata.json", b'{"packages": []}')
    with pytest.raises(CommandError, match="so the files of the label 'rc' are unknown"):
        run("demo", "--owner", "olga")
    for name in ("repodata.json", OLD_REPODATA):
        store().delete(f"demo/label/rc/noarch/{name}")
    assert run("demo", "--owner", "olga")[0] == 0
    assert all_labels() == {"lib": {"main"}}


def test_label_of_an_index_without_packages_of_the_hub_is_kept_apart_from_main(olga: User, tmp_path: Path) -> None:
    make_channel(owner=olga)
    for name in ("lib", "app"):
        store().put(f"demo/noarch/{name}-1.0-0.conda", make_conda(tmp_path, name=name))
    listed = json.dumps({"packages.conda": {"lib-1.0-0.conda": {}}}).encode()
    store().put("demo/label/rc/noarch/repodata.json", listed)
    run("demo", "--owner", "olga")
    assert all_labels() == {"lib": {"rc"}, "app": {"main"}}


@pytest.mark.parametrize("folder", ["demo/noarch", "demo/label/rc/noarch"])
def test_names_in_an_index_that_no_package_can_have_are_reported(olga: User, tmp_path: Path, folder: str) -> None:
    make_channel(owner=olga)
    for subdir, name in (("noarch", "lib"), ("osx-64", "app")):
        store().put(f"demo/{subdir}/{name}-1.0-0.conda", make_conda(tmp_path, name=name, subdir=subdir))
    store().put(f"{folder}/repodata.json", json.dumps({"packages": {key: {} for key in HOSTILE_NAMES}}).encode())
    code, lines = run("demo", "--owner", "olga")
    assert (code, lines[-1]) == (1, "demo: imported: 2, not imported: 5, yanked: 0.")
    assert sum("no package can have this name" in line for line in lines) == len(HOSTILE_NAMES)


@pytest.mark.parametrize("index", NO_INDEXES)
def test_index_of_another_form_is_unreadable(olga: User, tmp_path: Path, index: bytes) -> None:
    store().put("demo/noarch/lib-1.0-0.conda", make_conda(tmp_path, name="lib"))
    store().put("demo/label/rc/noarch/repodata.json", index)
    with pytest.raises(CommandError, match="so the files of the label 'rc' are unknown"):
        run("demo", "--owner", "olga")
    for key in [key for key in store().list("demo/") if "/label/" in key]:
        store().delete(key)
    store().put("demo/noarch/repodata.json", index)
    assert run("demo", "--owner", "olga")[0] == 0
    assert all_labels() == {"lib": {"main"}}
