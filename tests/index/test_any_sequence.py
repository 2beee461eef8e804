"""Sequences of acts on two channels: their index files agree with each other, a small model and py-rattler."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rattler import RepoData

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, User
from hub.storage import store
from publishing.index import builds
from publishing.labels import artifact_labels, edits, labels, old_indexes
from publishing.models import Patch, Promotion, SubdirIndex
from publishing.patches import patches
from publishing.patches.rules import NewRule
from publishing.promotion import promotions, rollback
from publishing.promotion.plan import Wanted
from publishing.removal import removal
from publishing.uploads import upload
from tests.archives import make_conda
from tests.builders import make_channel, received

pytestmark = pytest.mark.django_db
NUMBERS = count()
NAMES, VERSIONS = ("pack", "tool"), ("1.0", "2.0")
ADDED = "python >=3.9"
ACTS = (
    *("upload", "upload dev", "yank", "delete", "restore", "promote", "move", "roll back", "patch", "hide", "undo"),
    *("add dev", "add rc", "to main", "to dev", "remove main", "remove dev", "delete dev", "expire rc"),
)
Act = tuple[str, str, str]


@dataclass
class World:
    """Two channels, and the expected content of their indexes: channel → file name → its state, or its labels."""

    actor: Actor
    folder: Path
    source: Channel
    target: Channel
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    labels: dict[str, dict[str, set[str]]] = field(default_factory=dict)
    active: list[Patch] = field(default_factory=list)
    promoted: tuple[Promotion, list[str], bool] | None = None

    def named(self, channel: Channel, name: str, *states: str) -> list[str]:
        states = states or ("listed", "yanked", "deleted")
        return [each for each, state in self.files[channel.name].items() if each.startswith(name) and state in states]

    def do(self, act: Act) -> None:
        verb, name, version = act
        acts: dict[str, Callable[[], None]] = {
            "upload": lambda: self.upload(name, version),
            "yank": lambda: self.remove(removal.YANK, name, "yanked", "listed"),
            "delete": lambda: self.remove(removal.DELETE, name, "deleted", "listed", "yanked"),
            "restore": lambda: self.remove(removal.RESTORE, name, "listed", "yanked", "deleted"),
            "promote": lambda: self.promote(name, is_move=False),
            "move": lambda: self.promote(name, is_move=True),
            "roll back": self.roll_back,
            "patch": lambda: self.patch(name, {"depends": {"add": [ADDED]}}),
            "hide": lambda: self.patch(name, {"removed": True}),
            "undo": self.undo,
            "upload dev": lambda: self.upload(name, version, "dev"),
            "add dev": lambda: self.label(name, version, lambda old: old | {"dev"}),
            "add rc": lambda: self.label(name, version, lambda old: old | {"rc"}),
            "to main": lambda: self.label(name, version, lambda old: {"main"}),
            "to dev": lambda: self.label(name, version, lambda old: {"dev"}),
            "remove main": lambda: self.label(name, version, lambda old: old - {"main"}),
            "remove dev": lambda: self.label(name, version, lambda old: old - {"dev"}),
            "delete dev": lambda: self.delete_label("dev"),
            "expire rc": self.expire_rc,
        }
        acts[verb]()

    def upload(self, name: str, version: str, *chosen: str) -> None:
        path = make_conda(self.folder, name=name, version=version)
        state = self.files[self.source.name].get(path.name)
        upload.publish(actor=self.actor, channel=self.source, received=received(path), labels=chosen)
        known = self.labels[self.source.name]
        if state in (None, "deleted"):
            self.files[self.source.name][path.name] = "listed"
            known[path.name] = set(chosen) or {"main"}
        else:
            known[path.name] = known[path.name] | set(chosen)

    def label(self, name: str, version: str, change: Callable[[set[str]], set[str]]) -> None:
        """Change the labels of one file in the source, unless it would have none."""
        known = self.labels[self.source.name]
        file_name = f"{name}-{version}-0.conda"
        if file_name in known and (after := change(known[file_name])):
            found = Artifact.objects.filter(channel=self.source, file_name=file_name)
            artifact_labels.edit_selection(
                actor=self.actor, channel=self.source, selection=found, edit=edits.exactly(after)
            )
            known[file_name] = after

    def delete_label(self, label: str) -> None:
        if self.source.labels.filter(name=label).exists():
            labels.delete(actor=self.actor, channel=self.source, name=label, with_files=True)
            self.forget(label)

    def expire_rc(self) -> None:
        self.source.labels.filter(name="rc").update(expires_at=self.source.created_at)
        labels.delete_expired()
        old_indexes.remove_old_indexes()
        self.forget("rc")

    def forget(self, label: str) -> None:
        for name, known in self.labels[self.source.name].items():
            known.discard(label)
            if not known:
                self.files[self.source.name][name] = "deleted"

    def remove(self, change: removal.Change, name: str, to: str, *of: str) -> None:
        files = self.named(self.source, name, *of)
        if change == removal.RESTORE:  # which refuses files without a label
            files = [each for each in files if self.labels[self.source.name][each]]
        found = Artifact.objects.filter(channel=self.source, file_name__in=files)
        removal.change_selection(actor=self.actor, channel=self.source, selection=found, change=change)
        self.files[self.source.name] |= dict.fromkeys(files, to)

    def promote(self, name: str, *, is_move: bool) -> None:
        files = self.named(self.source, name, "listed")
        if files and not self.named(self.target, name):
            wanted = Wanted(self.actor, self.source, self.target, is_move)
            selection = Artifact.objects.filter(channel=self.source, file_name__in=files)
            self.promoted = (promotions.promote(wanted=wanted, selection=selection), files, is_move)
            self.files[self.target.name] |= dict.fromkeys(files, "listed")
            self.labels[self.target.name] |= {each: {"main"} for each in files}
            if is_move:
                self.files[self.source.name] |= dict.fromkeys(files, "deleted")

    def roll_back(self) -> None:
        if self.promoted:
            promotion, files, is_move = self.promoted
            if is_move and not all(self.labels[self.source.name][each] for each in files):
                return  # files without a label are not restored
            rollback.roll_back(actor=self.actor, promotion=promotion)
            self.files[self.target.name] |= dict.fromkeys(files, "deleted")
            if is_move:
                self.files[self.source.name] |= dict.fromkeys(files, "listed")
            self.promoted = None

    def patch(self, name: str, changes: dict[str, Any]) -> None:
        rule = NewRule(title="why", names=[name], changes=changes)
        outcome = patches.add(actor=self.actor, channel=self.source, rule=rule)
        assert outcome.patch
        self.active.append(outcome.patch)

    def undo(self) -> None:
        if self.active:
            patches.undo(actor=self.actor, patch=self.active.pop())

    def check(self) -> None:
        for channel in (self.source, self.target):
            for index in channel.indexes.filter(subdir__endswith="noarch"):
                builds.build_until_current(index.pk)
                if not index.label or channel.labels.filter(name=index.label).exists():
                    self.check_index(channel, index)
            for label in channel.labels.all():
                with_label = label.artifacts.values_list("file_name", flat=True)
                assert sorted(with_label) == sorted(self.labeled(channel, label.name))

    def labeled(self, channel: Channel, label: str, *states: str) -> list[str]:
        return [each for each in self.named(channel, "", *states) if label in self.labels[channel.name][each]]

    def check_index(self, channel: Channel, index: SubdirIndex) -> None:
        folder, label = index.folder, index.label or "main"
        active = self.active if channel == self.source else []
        hidden = {name for patch in active if patch.changes.get("removed") for name in patch.names}
        extended = {name for patch in active if "depends" in patch.changes for name in patch.names}
        listed = set(self.labeled(channel, label, "listed"))
        shown = {each for each in listed if each.split("-")[0] not in hidden}
        content = read_json(folder, "repodata.json")
        records = content["packages.conda"]
        assert set(records) == shown
        assert all((ADDED in record["depends"]) == (record["name"] in extended) for record in records.values())
        assert set(content["removed"]) == set(self.labeled(channel, label, "yanked", "deleted")) | listed - shown
        assert in_shards(folder) == {
            name: record | read_json(folder, "run_exports.json")["packages.conda"][name]
            for name, record in records.items()
        }
        if any(name.split("-")[0] in hidden | extended for name in listed):
            original = read_json(folder, "repodata_from_packages.json")["packages.conda"]
            assert set(original) == listed
            assert not any(ADDED in record["depends"] for record in original.values())
        for name in self.named(channel, "", "listed", "yanked"):
            assert read(f"{channel}/noarch/{name}")
        path = self.folder / "repodata.json"
        path.write_text(json.dumps(content))
        RepoData.from_path(path)


def read(key: str) -> bytes:
    return b"".join(store().open(key))


def read_json(folder: str, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(read(f"{folder}/{name}"))
    assert json.loads(zstandard.decompress(read(f"{folder}/{name}.zst"))) == content
    return content


def in_shards(folder: str) -> dict[str, Any]:
    """Return file name → record of all shards that the index of shards names."""
    index = msgpack.unpackb(zstandard.decompress(read(f"{folder}/repodata_shards.msgpack.zst")))
    found: dict[str, Any] = {}
    for sha256 in index["shards"].values():
        shard = msgpack.unpackb(zstandard.decompress(read(f"{folder}/shards/{sha256.hex()}.msgpack.zst")))
        for name, record in shard["packages.conda"].items():
            found[name] = record | {key: record[key].hex() for key in ("md5", "sha256")}
    return found


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(ACTS), st.sampled_from(NAMES), st.sampled_from(VERSIONS)), max_size=12))
def test_indexes_after_any_sequence_of_acts_agree(olga: User, tmp_path: Path, acts: list[Act]) -> None:
    number = next(NUMBERS)
    source, target = (make_channel(f"{name}-{number}", owner=olga) for name in ("source", "target"))
    world = World(Actor(user=olga), tmp_path, source, target)
    for channel in (source, target):
        world.files[channel.name], world.labels[channel.name] = {}, {}
    for act in [("upload", "pack", "1.0"), *acts]:
        world.do(act)
        world.check()
