"""The quetz protocol: uploads, reads of quetz-client, and the reading alias. tests/clients uses the real clients."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from pytest_django import Settings

from channels_app.authentication import decision_cache
from channels_app.models import Artifact, Channel, Role, User
from publishing.protocols import quetz_commands
from tests.archives import make_conda
from tests.builders import (
    make_artifact,
    make_channel,
    make_key,
    make_member,
    make_package,
    make_robot,
    make_team,
    make_team_member,
)
from tests.pages import Response, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def key(channel: Channel, olga: User) -> str:
    return make_key(olga, scopes=("read", "upload", "delete", "manage"))


def post(client: Client, path: Path, key: str | None, query: str = "", channel: str = "demo") -> tuple[int, str]:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    answer = client.post(
        f"/api/channels/{channel}/upload/{path.name}?sha256={digest}{query}",
        path.read_bytes(),
        "application/octet-stream",
        headers={} if key is None else {"X-API-Key": key},
    )
    return answer.status_code, answer.headers.get("X-Error-Code", "")


def asked(client: Client, path: str, key: str) -> Any:
    answer = client.get(path, headers={"X-API-Key": key})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.headers["X-Error-Code"]


def test_quetz_upload_is_published_once(client: Client, key: str, tmp_path: Path) -> None:
    path = make_conda(tmp_path)
    assert post(client, path, key, "&force=false") == (201, "")
    assert post(client, path, key, "&force=False") == (200, "")
    path = make_conda(tmp_path, files={"share/other": b"x"})
    assert post(client, path, key) == (409, "exists")
    assert Artifact.objects.get().file_name == path.name


@pytest.mark.parametrize("force", ["true", "True"])
def test_quetz_force_needs_the_channels_policy(client: Client, key: str, tmp_path: Path, force: str) -> None:
    assert post(client, make_conda(tmp_path), key, f"&force={force}") == (403, "overwriting_off")
    Channel.objects.update(allow_overwrite=True)
    decision_cache.clear()
    assert post(client, make_conda(tmp_path), key, f"&force={force}") == (201, "")
    assert post(client, make_conda(tmp_path, files={"share/other": b"x"}), key, f"&force={force}") == (201, "")


def test_quetz_upload_without_permission_is_refused(
    client: Client, channel: Channel, max_: User, sam: User, tmp_path: Path
) -> None:
    path = make_conda(tmp_path)
    make_member(channel, max_, Role.VIEWER)
    assert post(client, path, None) == (401, "credential_needed")
    assert post(client, path, "wrong") == (401, "invalid_key")
    assert post(client, path, make_key(max_)) == (403, "role_missing")
    assert post(client, path, make_key(sam)) == post(client, path, make_key(sam), channel="nowhere")
    assert post(signed_in(sam), path, None)[0] == 401
    assert not Artifact.objects.exists()


def test_quetz_upload_with_another_checksum_or_name_is_refused(client: Client, key: str, tmp_path: Path) -> None:
    path = make_conda(tmp_path)
    assert post(client, path, key, f"&sha256={'0' * 64}") == (422, "checksum_mismatch")
    path.write_bytes(path.read_bytes()[:-30])
    assert post(client, path, key) == (422, "bad_package")
    assert post(client, make_conda(tmp_path, name="before").rename(tmp_path / "after-1.0-0.conda"), key)[0] == 422
    answer = client.get(f"/api/channels/demo/upload/{path.name}", headers={"X-API-Key": key})
    assert refused(answer) == (405, "wrong_method")


def test_quetz_form_has_one_package(client: Client, key: str, tmp_path: Path) -> None:
    path, other = make_conda(tmp_path), make_conda(tmp_path, name="other")
    first, second = (SimpleUploadedFile(each.name, each.read_bytes()) for each in (path, other))
    address, headers = "/api/channels/demo/files/", {"X-API-Key": key}
    assert refused(client.post(address, {"files": [first, second]}, headers=headers)) == (400, "two_parts")
    assert refused(client.post(address, {"file": first}, headers=headers)) == (400, "file_missing")
    assert (
        client.post(address, {"files": SimpleUploadedFile(path.name, path.read_bytes())}, headers=headers).status_code
        == 201
    )
    form = {"files": SimpleUploadedFile(path.name, path.read_bytes()), "force": "True"}
    assert refused(client.post(address, form, headers=headers)) == (403, "overwriting_off")


def test_quetz_channels_are_those_that_the_caller_sees(client: Client, key: str, olga: User, sam: User) -> None:
    make_package(make_channel("open", owner=sam, is_private=False), "pack")
    make_channel("hidden", owner=sam)
    assert [each["name"] for each in asked(client, "/api/channels", key)] == ["demo", "open"]
    assert [each["name"] for each in asked(client, "/api/channels?public=False", key)] == ["demo"]
    assert [each["name"] for each in asked(client, "/api/channels?q=%00", key)] == ["demo", "open"]
    page = asked(client, "/api/paginated/channels?q=&public=True&limit=1&skip=1", key)
    assert page["pagination"] == {"skip": 1, "limit": 1, "all_records_count": 2}
    assert page["result"] == [asked(client, "/api/channels/open", key)]
    assert page["result"][0] == {
        "name": "open",
        "description": "",
        "private": False,
        "size_limit": None,
        "ttl": 0,
        "mirror_channel_url": None,
        "mirror_mode": None,
        "members_count": None,
        "packages_count": 1,
    }
    assert refused(client.get("/api/channels/hidden", headers={"X-API-Key": key}))[0] == 403
    assert [each["name"] for each in client.get("/api/channels").json()] == ["open"]


@pytest.mark.parametrize("query", ["limit=x", "skip=-1", "limit=1001", f"limit={'9' * 20}"])
def test_quetz_page_that_is_no_number_is_refused(client: Client, query: str) -> None:
    assert refused(client.get(f"/api/paginated/channels?{query}")) == (400, "bad_page")


def test_quetz_list_that_is_too_long_is_refused(client: Client, key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_artifact(Channel.objects.get(name="demo"), "one")
    monkeypatch.setattr(quetz_commands, "PAGE_MAX", 0)
    assert refused(client.get("/api/channels", headers={"X-API-Key": key})) == (400, "too_long")


def test_quetz_packages_and_versions_are_described(client: Client, key: str, tmp_path: Path) -> None:
    post(client, make_conda(tmp_path), key)
    artifact = Artifact.objects.get()
    for page in (
        asked(client, "/api/channels/demo/packages", key),
        asked(client, "/api/paginated/channels/demo/packages?q=dem&order_by=latest_change:desc", key)["result"],
    ):
        assert [(each["name"], each["platforms"], each["current_version"]) for each in page] == [
            ("demo", ["noarch"], "1.0")
        ]
    found = asked(client, "/api/channels/demo/packages/demo/versions", key)
    assert asked(client, "/api/paginated/channels/demo/packages/demo/versions", key)["result"] == found
    assert asked(client, "/api/channels/demo/packages/demo/versions/noarch/demo-1.0-0.conda", key) == found[0]
    assert found[0] | {"info": {}, "time_created": ""} == {
        "id": str(artifact.pk),
        "channel_name": "demo",
        "package_name": "demo",
        "platform": "noarch",
        "version": "1.0",
        "build_string": "0",
        "build_number": 0,
        "filename": "demo-1.0-0.conda",
        "info": {},
        "uploader": {"name": "olga", "avatar_url": ""},
        "time_created": "",
        "download_count": 0,
    }
    assert found[0]["info"]["name"] == "demo"


def test_quetz_deletion_of_a_file_needs_the_scope(client: Client, key: str, olga: User, tmp_path: Path) -> None:
    post(client, make_conda(tmp_path), key)
    address = "/api/channels/demo/packages/{}/versions/noarch/demo-1.0-0.conda"
    path, headers = address.format("demo"), {"X-API-Key": key}
    assert refused(client.delete(path, headers={"X-API-Key": make_key(olga, scopes=("upload",))}))[0] == 403
    assert refused(client.delete(address.format("other"), headers=headers)) == (404, "no_such_file")
    assert client.delete(path, headers=headers).status_code == 200
    assert refused(client.delete(path, headers=headers)) == (404, "no_such_file")
    assert refused(client.get(path, headers=headers)) == (404, "no_such_file")
    assert Artifact.objects.get().removal == "deleted"


def test_quetz_me_and_users_show_the_caller_alone(client: Client, key: str, olga: User, channel: Channel) -> None:
    assert asked(client, "/api/me", key)["user"] == {"id": str(olga.pk), "username": "olga"}
    assert [each["username"] for each in asked(client, "/api/users", key)] == ["olga"]
    assert [each["username"] for each in asked(client, "/api/paginated/users?q=ol", key)["result"]] == ["olga"]
    assert asked(client, "/api/users/olga/role", key) == {"role": "member"}
    User.objects.filter(pk=olga.pk).update(is_superuser=True)
    assert asked(client, "/api/users/olga/role", key) == {"role": "owner"}
    for name in ("sam", "nobody"):
        assert refused(client.get(f"/api/users/{name}/role", headers={"X-API-Key": key})) == (403, "not_you")
    robot = make_robot(channel, olga, scopes=("read",))
    assert asked(client, "/api/me", robot)["name"] == asked(client, "/api/me", robot)["user"]["username"]
    assert asked(client, "/api/users", robot) == []
    for path in ("/api/me", "/api/users", "/api/users/olga/role"):
        assert refused(client.get(path)) == (401, "credential_needed")


def test_quetz_members_are_listed_with_teams(
    client: Client, key: str, channel: Channel, max_: User, olga: User
) -> None:
    make_member(channel, max_, Role.VIEWER)
    make_team_member(channel, make_team("crew"))
    found = asked(client, "/api/channels/demo/members", key)
    shown = [(each["role"], each["user"]["username"]) for each in found]
    assert shown == [("owner", "olga"), ("viewer", "crew"), ("viewer", "max")]
    assert refused(client.get("/api/channels/demo/members", headers={"X-API-Key": make_key(max_)}))[0] == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/channels"),
        ("DELETE", "/api/channels/demo"),
        ("POST", "/api/channels/demo/members"),
        ("DELETE", "/api/channels/demo/members?username=max"),
        ("PUT", "/api/users/max/role"),
    ],
)
def test_quetz_command_that_widens_access_needs_a_person(client: Client, key: str, method: str, path: str) -> None:
    answer = client.generic(method, path, b"{}", "application/json", headers={"X-API-Key": key})
    assert refused(answer) == (403, "person_needed")
    assert "Sign in and use http" in answer.text
    assert Channel.objects.get().members.count() == 1


def test_quetz_alias_reads_the_files_of_the_channel(
    client: Client, key: str, tmp_path: Path, settings: Settings
) -> None:
    path = make_conda(tmp_path)
    post(client, path, key)
    for address in (f"/get/demo/noarch/{path.name}", f"/t/{key}/get/demo/noarch/{path.name}"):
        answer = client.get(address, headers={} if "/t/" in address else {"X-API-Key": key})
        assert b"".join(answer) == path.read_bytes()
    assert client.head("/get/demo/noarch/repodata.json", headers={"X-API-Key": key}).status_code == 200
    assert client.get("/get/demo/noarch/repodata.json").status_code == 401
    assert refused(client.put("/get/demo/noarch/x.conda", b"x")) == (404, "no_upload_here")


def test_channel_with_the_name_of_an_alias_keeps_its_files(client: Client, olga: User) -> None:
    for name in ("get", "artifactory"):
        make_channel(name, owner=olga, is_private=False)
        assert client.get(f"/{name}/noarch/repodata.json").status_code == 200
        assert client.get(f"/{name}/channeldata.json").status_code == 200
