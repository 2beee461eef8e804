"""The anaconda protocol: login, lists, search, download and copy."""

from base64 import b64encode
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from channels_app.models import Artifact, Channel, Member, Role, User
from publishing.labels import queries
from publishing.promotion import copying, promotions
from publishing.removal import removal
from tests.anaconda_calls import EVERYTHING, Caller, place, refusal, sha256
from tests.archives import make_conda
from tests.builders import make_artifact, make_channel, make_key, make_member


@pytest.fixture
def caller(channel: Channel, olga: User) -> Caller:
    return Caller(make_key(olga, scopes=EVERYTHING))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_conda(tmp_path)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Return a package of the same name with other bytes."""
    (tmp_path / "other").mkdir()
    return make_conda(tmp_path / "other", files={"share/other": b"x"})


def test_login_returns_the_key_of_the_password(caller: Caller) -> None:
    basic = {"Authorization": "Basic " + b64encode(f"olga:{caller.key}".encode()).decode()}
    assert Client().post("/anaconda/authentications", headers=basic).json() == {"token": caller.key}
    assert Client().post("/anaconda/authentications").status_code == 401
    assert caller.ask("GET", "authentication-type").json() == {"authentication_type": "password"}


def test_logout_leaves_the_key_valid(caller: Caller) -> None:
    assert caller.ask("DELETE", "authentications").status_code == 201
    assert caller.ask("GET", "user").status_code == 200


def test_packages_are_listed_and_found(caller: Caller, sam: User, package: Path) -> None:
    caller.upload(package)
    names = [
        found["full_name"] for path in ("packages/demo", "search?name=dem") for found in caller.ask("GET", path).json()
    ]
    assert names == ["demo/demo", "demo/demo"]
    assert caller.ask("GET", "search?name=dem&platform=linux-64").json() == []
    assert Caller(make_key(sam)).ask("GET", "search?name=dem").json() == []


def test_download_returns_the_bytes(caller: Caller, package: Path) -> None:
    caller.upload(package)
    answer = caller.ask("GET", f"download/{place(package)}")
    assert (answer.status_code, b"".join(answer)) == (200, package.read_bytes())
    assert refusal(caller.ask("GET", "download/demo/demo/1.0/noarch/other-1.0-0.conda")) == (404, "no_such_file")


def test_copy_publishes_in_the_other_channel(caller: Caller, olga: User, package: Path, other: Path) -> None:
    caller.upload(package)
    target = make_channel("copies", owner=olga)
    to_target = {"to_owner": "copies", "from_channel": "main", "to_channel": "main"}
    path = f"copy/package/{place(package)}"
    for method, asked in (("PATCH", path), ("POST", "copy/package/demo/demo/1.0/"), ("POST", path)):
        assert caller.ask(method, asked, to_target).json() == [{"basename": f"noarch/{package.name}"}]
    [copied] = Artifact.objects.filter(channel=target)
    assert (copied.sha256, copied.uploaded_by) == (sha256(package), olga)
    assert caller.ask("PATCH", path, to_target).json() == []
    assert refusal(caller.ask("POST", path, to_target | {"from_channel": "dev"})) == (404, "no_such_file")
    assert refusal(caller.ask("POST", "copy/package/demo/demo/2.0/", to_target)) == (404, "no_such_file")


def test_copy_gives_the_label_in_the_other_channel(caller: Caller, olga: User, package: Path) -> None:
    caller.upload(package)
    target = make_channel("copies", owner=olga)
    path, to_target = f"copy/package/{place(package)}", {"to_owner": "copies", "from_channel": "main"}
    for label, expected in (("Dev", {"dev"}), ("rc", {"dev", "rc"}), ("main", {"main", "dev", "rc"})):
        answer = caller.ask("POST", path, to_target | {"to_channel": label})
        assert answer.json() == [{"basename": f"noarch/{package.name}"}]
        assert set(queries.names_of([Artifact.objects.get(channel=target)]).values()) == {frozenset(expected)}
    assert refusal(caller.ask("POST", path, to_target | {"to_channel": "a b"})) == (422, "bad_label")


def test_copy_replaces_only_where_the_channel_allows_it(caller: Caller, olga: User, package: Path, other: Path) -> None:
    caller.upload(package)
    target = make_channel("copies", owner=olga)
    make_artifact(target, sha256=sha256(other))
    path, to_target = f"copy/package/{place(package)}", {"to_owner": "copies"}
    assert refusal(caller.ask("POST", path, to_target)) == (409, "exists")
    assert refusal(caller.ask("PUT", path, to_target)) == (403, "overwriting_off")
    Channel.objects.filter(pk=target.pk).update(allow_overwrite=True)
    assert caller.ask("PUT", path, to_target).status_code == 200
    assert Artifact.objects.get(channel=target).sha256 == sha256(package)


def test_copy_of_too_many_files_is_refused(
    caller: Caller, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "SELECTION_MAX", 1)
    target = make_channel("copies", owner=olga)
    for build in ("0", "1"):
        make_artifact(channel, build=build)
    answer = caller.ask("POST", "copy/package/demo/demo/1.0/", {"to_owner": "copies"})
    assert refusal(answer) == (422, "selection_too_large")
    assert not Artifact.objects.filter(channel=target).exists()


def test_copy_ends_when_its_sender_loses_the_right_to_read(
    channel: Channel, sam: User, caller: Caller, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller.upload(package)
    caller.upload(make_conda(tmp_path, build="1"))
    make_member(channel, sam)
    copies = make_channel("sams", owner=sam)

    copy_files = copying.copy_files

    def copy_and_remove(*arguments: Any) -> None:
        copy_files(*arguments)
        Member.objects.filter(user=sam, channel=channel).delete()

    monkeypatch.setattr(copying, "copy_files", copy_and_remove)
    answer = Caller(make_key(sam, scopes=EVERYTHING)).ask("POST", "copy/package/demo/demo/1.0/", {"to_owner": "sams"})
    assert refusal(answer) == (403, "no_access")
    assert not Artifact.objects.filter(channel=copies).exists()


def test_copy_beyond_those_that_run_at_once_is_refused(caller: Caller, olga: User, package: Path) -> None:
    """Eighty copies of many files took all threads, and an upload of another user waited for half a minute."""
    caller.upload(package)
    make_channel("copies", owner=olga)
    path, taken = f"copy/package/{place(package)}", ExitStack()
    with taken:
        while promotions.COPYING.acquire(blocking=False):
            taken.callback(promotions.COPYING.release)
        assert refusal(caller.ask("POST", path, {"to_owner": "copies"})) == (503, "too_many_uploads")
    assert caller.ask("POST", path, {"to_owner": "copies"}).status_code == 200


def test_copy_to_a_name_with_nul_is_refused(caller: Caller, package: Path) -> None:
    answer = caller.ask("POST", f"copy/package/{place(package)}", {"to_owner": "a\0b"})
    assert refusal(answer) == (400, "nul")


def test_copy_needs_rights_in_both_channels(caller: Caller, channel: Channel, sam: User, package: Path) -> None:
    caller.upload(package)
    make_channel("sams", owner=sam)
    path, to_sam = f"copy/package/{place(package)}", {"to_owner": "sams"}
    assert refusal(caller.ask("POST", path, to_sam)) == (403, "no_access")
    assert refusal(Caller(make_key(sam)).ask("POST", path, to_sam)) == (403, "no_access")
    make_member(channel, sam, Role.VIEWER)
    assert Caller(make_key(sam)).ask("POST", path, to_sam).status_code == 200


def test_channel_below_conda_has_the_same_files(caller: Caller) -> None:
    path = "conda/demo/noarch/repodata.json"
    for answer in (Client().get(f"/{path}", headers=caller.headers), Client().get(f"/t/{caller.key}/{path}")):
        assert answer.status_code == 200
    assert Client().get(f"/{path}").status_code == 401
