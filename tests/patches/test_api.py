"""`/api/v1/channels/CHANNEL/patches`."""

from threading import BoundedSemaphore
from typing import Any

import pytest

from channels_app.models import Channel, User
from publishing.models import Patch
from publishing.patches import plans
from tests.builders import make_artifact, make_channel
from tests.patches.indexes import built, records
from tests.rest.calls import by_key, by_session, code

pytestmark = pytest.mark.django_db
PATCHES = "channels/demo/patches"


def body(**values: Any) -> dict[str, Any]:
    return {"title": "too loose", "names": ["lib"], "changes": {"depends": {"add": ["six"]}, "features": None}} | values


def path_of(answer: Any) -> str:
    location: str = answer.headers["Location"]
    return location.removeprefix("/api/v1/")


def test_patch_is_previewed_added_listed_undone_and_applied_again(channel: Channel, olga: User) -> None:
    make_artifact(channel, "lib", index_json={"features": "x"})
    for caller in (by_session(olga), by_key(olga, "read", "manage")):
        preview = caller.post(PATCHES, body(dry_run=True))
        keys = {"depends": [[], ["six"]], "features": ["x", None]}
        assert (preview.status_code, preview.json()) == (
            200,
            {
                "dry_run": True,
                "patch": None,
                "record_count": 1,
                "records": [{"subdir": "noarch", "file_name": "lib-1.0-0.conda", "keys": keys}],
            },
        )
        added = caller.post(PATCHES, body())
        assert added.status_code == 201
        path = path_of(added)
        assert caller.get(path).json() == added.json()["patch"] == caller.get(PATCHES).json()["items"][0]
        assert added.json()["patch"]["changes"] == {"depends": {"add": ["six"]}, "features": None}
        undo = caller.post(f"{path}/undo", {"dry_run": True}).json()
        assert (undo["patch"]["ended_at"], undo["records"][0]["keys"]["features"]) == (None, [None, "x"])
        assert caller.post(f"{path}/undo").json()["patch"]["ended_by"] == "olga"
        assert caller.get(PATCHES).json()["items"] == []
        assert caller.get(f"{PATCHES}?is_active=false").json()["items"][-1]["id"] == added.json()["patch"]["id"]
        assert code(caller.post(f"{path}/undo")) == (409, "patch_ended")
        assert caller.post(f"{path}/apply").json()["patch"]["ended_at"] is None
        built(channel)
        assert records()["lib-1.0-0.conda"]["depends"] == ["six"]
        caller.post(f"{path}/undo")


def test_patch_is_replaced_by_another_version(channel: Channel, olga: User) -> None:
    caller = by_session(olga)
    path = path_of(caller.post(PATCHES, body()))
    changed = caller.put(path, body(title="looser")).json()["patch"]
    assert changed["replaces_id"] == int(path.rpartition("/")[2])
    assert [patch["title"] for patch in caller.get(PATCHES).json()["items"]] == ["looser"]
    assert code(caller.put(path, body())) == (409, "patch_ended")


@pytest.mark.parametrize(
    "values",
    [
        {"title": ""},
        {"changes": {}},
        {"changes": {"version": "2"}},
        {"changes": {"removed": False}},
        {"changes": {"depends": {"add": ["a b c d"]}}},
        {"version": "?"},
        {"names": ["A"]},
        {"built_from": "x"},
    ],
)
def test_bad_patch_is_refused(channel: Channel, olga: User, values: dict[str, Any]) -> None:
    assert code(by_session(olga).post(PATCHES, body(**values)))[0] == 422
    assert not Patch.objects.exists()


def test_key_without_read_gets_403(channel: Channel, olga: User) -> None:
    caller = by_key(olga, "manage")
    assert code(caller.get(PATCHES)) == (403, "scope_missing")
    assert code(caller.post(PATCHES, body(dry_run=True))) == (403, "scope_missing")


def test_patch_of_another_channel_is_not_found(channel: Channel, olga: User, sam: User) -> None:
    make_channel("sams", owner=sam)
    patch_id = by_session(olga).post(PATCHES, body()).json()["patch"]["id"]
    path, caller = f"channels/sams/patches/{patch_id}", by_session(sam)
    answers = [caller.get(path), caller.put(path, body()), caller.post(f"{path}/undo"), caller.post(f"{path}/apply")]
    assert {code(answer) for answer in answers} == {(404, "no_such_patch")}
    assert Patch.objects.get().ended_at is None


def test_comparison_while_four_run_is_refused(channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "COMPARISONS", BoundedSemaphore(1))
    monkeypatch.setattr(plans, "COMPARISONS_WAIT_S", 0.01)
    with plans.COMPARISONS:
        assert code(by_session(olga).post("channels/demo/patches", body(dry_run=True))) == (503, "too_many_uploads")
    assert by_session(olga).post("channels/demo/patches", body(dry_run=True)).status_code == 200
