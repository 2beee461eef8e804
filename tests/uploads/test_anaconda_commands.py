"""The anaconda protocol: login, lists, search, download, copy and labels."""

from base64 import b64encode
from pathlib import Path

import pytest
from django.test import Client

from channels_app.models import Artifact, Channel, Role, User
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
    for path in ("copy/package/demo/demo/1.0/", f"copy/package/{place(package)}"):
        assert caller.ask("POST", path, to_target).json() == [{"basename": f"noarch/{package.name}"}]
    [copied] = Artifact.objects.filter(channel=target)
    assert (copied.sha256, copied.uploaded_by) == (sha256(package), olga)
    assert caller.ask("PATCH", path, to_target).json() == []
    assert refusal(caller.ask("POST", path, to_target | {"to_channel": "dev"})) == (422, "label_unsupported")
    assert refusal(caller.ask("POST", "copy/package/demo/demo/2.0/", to_target)) == (404, "no_such_file")


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


def test_labels_are_main_alone(caller: Caller) -> None:
    assert caller.ask("GET", "channels/demo").json().keys() == {"main"}
    for method in ("GET", "POST", "DELETE"):
        assert refusal(caller.ask(method, "channels/demo/dev")) == (422, "label_unsupported")


def test_channel_below_conda_has_the_same_files(caller: Caller) -> None:
    path = "conda/demo/noarch/repodata.json"
    for answer in (Client().get(f"/{path}", headers=caller.headers), Client().get(f"/t/{caller.key}/{path}")):
        assert answer.status_code == 200
    assert Client().get(f"/{path}").status_code == 401
