"""The anaconda protocol: labels of a channel and of files, moves, and copies within a channel."""

from typing import Any

import pytest

from channels_app.models import Artifact, Channel, Label, Removal, Role, User
from publishing.protocols import anaconda_labels
from tests.anaconda_calls import EVERYTHING, Caller, refusal
from tests.builders import make_artifact, make_key, make_label, make_member, make_user

pytestmark = pytest.mark.django_db
DEMO = {"package": "demo", "version": "1.0", "basename": None}


@pytest.fixture
def caller(channel: Channel, olga: User) -> Caller:
    return Caller(make_key(olga, scopes=EVERYTHING))


def labels() -> dict[str, list[str]]:
    return {file.file_name: file.label_names for file in Artifact.objects.order_by("file_name")}


def test_labels_of_a_channel_are_listed_with_main_first(channel: Channel, caller: Caller) -> None:
    make_label(channel, "dev")
    assert list(caller.ask("GET", "channels/demo").json()) == ["main", "dev"]


def test_files_of_a_label_are_shown_with_their_labels(channel: Channel, caller: Caller) -> None:
    make_label(channel, "dev").artifacts.add(
        make_artifact(channel), make_artifact(channel, removal=Removal.YANKED, version="2")
    )
    make_artifact(channel, "other")
    [file] = caller.ask("GET", "channels/demo/dev").json()["files"]
    assert (file["full_name"], file["labels"]) == ("demo/demo/1.0/noarch/demo-1.0-0.conda", ["main", "dev"])
    assert len(caller.ask("GET", "channels/demo/main").json()["files"]) == 2
    assert refusal(caller.ask("GET", "channels/demo/rc")) == (404, "no_such_label")
    for bad in ("a b", "a,b", "-", "%00"):
        for method, path in (
            ("GET", bad),
            ("POST", bad),
            ("DELETE", bad),
            ("POST", f"{bad}/copy/c"),
            ("POST", f"dev/copy/{bad}"),
        ):
            assert refusal(caller.ask(method, f"channels/demo/{path}"))[0] in (400, 422)


def test_move_adds_one_label_and_removes_the_other(channel: Channel, caller: Caller) -> None:
    make_artifact(channel)
    make_artifact(channel, version="2.0")
    assert caller.ask("POST", "channels/demo/dev", DEMO).status_code == 201
    assert caller.ask("DELETE", "channels/demo/main", DEMO).status_code == 201
    assert labels() == {"demo-1.0-0.conda": ["dev"], "demo-2.0-0.conda": ["main"]}
    one_file = DEMO | {"version": "2.0", "basename": "noarch/demo-2.0-0.conda"}
    assert caller.ask("POST", "channels/demo/dev", one_file).status_code == 201
    assert labels()["demo-2.0-0.conda"] == ["main", "dev"]
    assert refusal(caller.ask("DELETE", "channels/demo/dev", DEMO)) == (409, "last_label")
    assert refusal(caller.ask("POST", "channels/demo/dev", DEMO | {"version": "3"})) == (404, "no_such_file")


def test_all_files_of_a_label_are_copied_to_another_in_parts(
    channel: Channel, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anaconda_labels, "SELECTION_MAX", 2)
    for number in range(5):
        make_label(channel, "dev").artifacts.add(make_artifact(channel, version=f"1.{number}"))
    make_artifact(channel, "other")
    assert caller.ask("POST", "channels/demo/dev/copy/RC").status_code == 201
    assert Label.objects.get(name="rc").artifacts.count() == 5
    assert refusal(caller.ask("POST", "channels/demo/gone/copy/rc")) == (404, "no_such_label")
    monkeypatch.setattr(anaconda_labels, "FILES_MAX", 4)
    assert refusal(caller.ask("POST", "channels/demo/dev/copy/beta")) == (422, "selection_too_large")
    assert refusal(caller.ask("GET", "channels/demo/dev")) == (422, "selection_too_large")


def test_removed_label_is_deleted_unless_files_have_no_other(channel: Channel, caller: Caller) -> None:
    make_label(channel, "dev").artifacts.add(make_artifact(channel))
    make_label(channel, "only").artifacts.add(make_artifact(channel, "other", is_main=False))
    assert caller.ask("DELETE", "channels/demo/dev").status_code == 201
    assert refusal(caller.ask("DELETE", "channels/demo/only")) == (409, "last_label")
    assert refusal(caller.ask("DELETE", "channels/demo/main")) == (422, "label_unsupported")
    assert [label.name for label in Label.objects.all()] == ["only"]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_lock_of_a_label_is_refused(caller: Caller, method: str) -> None:
    assert refusal(caller.ask(method, "channels/demo/main/lock")) == (422, "label_unsupported")


def test_copy_within_a_channel_adds_the_label(channel: Channel, caller: Caller) -> None:
    make_label(channel, "rc").artifacts.add(make_artifact(channel, is_main=False))
    sent: dict[str, Any] = {"to_owner": "demo", "from_channel": "rc", "to_channel": "main"}
    path = "copy/package/demo/demo/1.0/"
    for _ in range(2):
        assert caller.ask("POST", path, sent).json() == [{"basename": "noarch/demo-1.0-0.conda"}]
        assert labels() == {"demo-1.0-0.conda": ["main", "rc"]}
    assert refusal(caller.ask("POST", path, sent | {"from_channel": "dev"})) == (404, "no_such_file")
    assert refusal(caller.ask("POST", path, sent | {"to_channel": "a b"})) == (422, "bad_label")


def test_contributor_adds_labels_and_removes_none(channel: Channel) -> None:
    artifact = make_artifact(channel)
    carla = make_user("carla")
    make_member(channel, carla, Role.CONTRIBUTOR)
    caller = Caller(make_key(carla, scopes=EVERYTHING))
    assert caller.ask("POST", "channels/demo/dev", DEMO).status_code == 201
    for sent in (DEMO, {}):
        assert refusal(caller.ask("DELETE", "channels/demo/dev", sent)) == (403, "role_missing")
    assert artifact.label_names == ["main", "dev"]


def test_stranger_sees_no_label(channel: Channel, sam: User) -> None:
    caller = Caller(make_key(sam, scopes=EVERYTHING))
    for method, path in (
        ("GET", "channels/demo"),
        ("GET", "channels/demo/main"),
        ("POST", "channels/demo/dev"),
        ("DELETE", "channels/demo/main"),
        ("POST", "channels/demo/main/copy/dev"),
        ("POST", "channels/demo/main/lock"),
    ):
        assert refusal(caller.ask(method, path)) == (403, "no_access")
