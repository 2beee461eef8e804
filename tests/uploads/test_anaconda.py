"""The anaconda protocol: the requests of an upload, their grants and refusals. tests/clients uses the real clients."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from channels_app.authentication import upload_grants
from channels_app.models import ApiKey, Artifact, Channel, Removal, Role, User
from tests.anaconda_calls import EVERYTHING, Caller, place, refusal, send, sha256
from tests.archives import make_conda
from tests.builders import (
    make_key,
    make_member,
    make_publisher,
    make_robot,
    make_short_lived_token,
    make_token,
)


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


def test_upload_in_three_requests_is_published(caller: Caller, package: Path, olga: User) -> None:
    staged = caller.stage(package).json()
    assert send(staged["post_url"], package).status_code == 201
    committed = caller.commit(package, staged["dist_id"])
    assert (committed.status_code, committed.json()["url"].endswith("/channels/demo/packages/demo")) == (200, True)
    artifact = Artifact.objects.get()
    assert (str(artifact), artifact.uploaded_by) == ("demo/noarch/demo-1.0-0.conda", olga)
    assert artifact.uploaded_with is not None


def test_data_without_a_file_name_is_published(caller: Caller, package: Path) -> None:
    """rattler's part `file` has no file name."""
    body = b'--X\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + package.read_bytes() + b"\r\n--X--\r\n"
    post_url = caller.stage(package).json()["post_url"]
    answer = Client().post(post_url, body, "multipart/form-data; boundary=X")
    assert (answer.status_code, Artifact.objects.get().file_name) == (201, package.name)


def test_upload_of_the_same_bytes_again_succeeds(caller: Caller, package: Path) -> None:
    caller.upload(package)
    caller.upload(package)
    assert Artifact.objects.count() == 1


@pytest.mark.parametrize("kind", ["channel key", "short-lived token", "application"])
def test_grant_has_the_rights_of_each_kind_of_key(channel: Channel, olga: User, package: Path, kind: str) -> None:
    secret = {
        "channel key": lambda: make_robot(channel, olga),
        "short-lived token": lambda: make_short_lived_token(make_publisher(channel, may_read=True))[1],
        "application": lambda: make_token(olga, "channel:read", "channel:upload"),
    }[kind]()
    Caller(secret).upload(package)
    assert Artifact.objects.exists()


def test_data_without_a_valid_grant_gets_403(caller: Caller, package: Path) -> None:
    post_url = caller.stage(package).json()["post_url"]
    for changed in (post_url.partition("?")[0], post_url[:-1], post_url.replace("/demo?", "/elsewhere?")):
        assert refusal(send(changed, package)) == (403, "grant_invalid")
        assert refusal(send(changed, package, authorization=f"token {caller.key}")) == (403, "grant_invalid")
    assert not Artifact.objects.exists()


def test_expired_grant_gets_403(caller: Caller, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    post_url = caller.stage(package).json()["post_url"]
    monkeypatch.setattr(upload_grants, "LIFETIME", timedelta(seconds=-1))
    assert refusal(send(post_url, package)) == (403, "grant_invalid")


def test_grant_of_a_revoked_key_gets_401(caller: Caller, package: Path) -> None:
    post_url = caller.stage(package).json()["post_url"]
    ApiKey.objects.update(revoked_at=timezone.now())
    assert refusal(send(post_url, package)) == (401, "invalid_key")


def test_grant_ends_with_the_right_to_upload(channel: Channel, max_: User, package: Path) -> None:
    member = make_member(channel, max_, Role.CONTRIBUTOR)
    post_url = Caller(make_key(max_)).stage(package).json()["post_url"]
    member.role = Role.VIEWER
    member.save()
    assert refusal(send(post_url, package))[0] == 403


def test_grant_of_other_bytes_gets_422(caller: Caller, package: Path, other: Path) -> None:
    post_url = caller.stage(package).json()["post_url"]
    assert refusal(send(post_url, other)) == (422, "checksum_mismatch")


def test_grant_of_another_subdir_gets_422(caller: Caller, package: Path) -> None:
    staged = caller.ask("POST", f"stage/{place(package)}".replace("noarch", "linux-64"), {"sha256": sha256(package)})
    assert refusal(send(staged.json()["post_url"], package))[0] == 422
    assert not Artifact.objects.exists()


def test_check_before_the_body_needs_the_grant(caller: Caller, package: Path) -> None:
    post_url = caller.stage(package).json()["post_url"]
    checked = post_url.replace("/data/demo?", "/data/demo/may?")
    assert Client().get(checked).status_code == 204
    assert Client().get(checked[:-1]).headers["X-Refused-Code"] == "grant_invalid"


def test_error_of_the_data_request_is_xml_with_the_sentence(caller: Caller, package: Path) -> None:
    package.write_bytes(package.read_bytes()[:-30])
    answer = send(caller.stage(package).json()["post_url"], package)
    assert refusal(answer) == (422, "bad_package")
    assert answer.text.startswith("<Error><Code>bad_package</Code><Message>demo-1.0-0.conda was refused: ")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"channels": ["main", "a b"]}, "bad_label"),
        ({"channels": [1]}, "bad_label"),
        ({"channels": 1}, "bad_label"),
        ({"channels": "dev"}, "bad_label"),
        ({"channels": [f"l{number}" for number in range(51)]}, "too_many_labels"),
        ({"distribution_type": "pypi"}, "not_conda"),
        ({"sha256": None}, "checksum_missing"),
        ({"sha256": "z" * 64}, "checksum_missing"),
    ],
)
def test_stage_of_unsupported_uploads_gets_422(
    caller: Caller, package: Path, changes: dict[str, Any], code: str
) -> None:
    answer = caller.stage(package, **changes)
    assert refusal(answer) == (422, code)
    assert answer.json()["error"]


def test_upload_gets_the_labels_of_its_stage(caller: Caller, package: Path) -> None:
    post_url = caller.stage(package, channels=["dev", "RC"]).json()["post_url"]
    assert send(post_url, package).status_code == 201
    assert Artifact.objects.get().label_names == ["dev", "rc"]
    post_url = caller.stage(package, channels=["main"]).json()["post_url"]
    assert send(post_url, package).status_code == 201
    assert Artifact.objects.get().label_names == ["main", "dev", "rc"]


def test_stage_without_permission_is_refused(channel: Channel, max_: User, sam: User, package: Path) -> None:
    make_member(channel, max_, Role.VIEWER)
    assert refusal(Caller("wrong").stage(package))[0] == 401
    assert refusal(Caller(make_key(max_)).stage(package))[0] == 403
    assert refusal(Caller(make_key(sam)).stage(package)) == (403, "no_access")
    assert refusal(Caller(make_key(sam)).stage(package, "missing")) == (403, "no_access")


def test_stage_applies_the_policies_of_the_channel(channel: Channel, caller: Caller, olga: User, package: Path) -> None:
    limited = Caller(make_key(olga, package_globs=["other-*"]))
    assert refusal(limited.stage(package)) == (403, "name_not_allowed")
    Channel.objects.update(require_attestation=True)
    assert refusal(caller.stage(package)) == (422, "attestation_missing")
    Channel.objects.update(only_trusted_publishers=True)
    assert refusal(caller.stage(package)) == (403, "trusted_publishers_only")


def test_stage_of_other_bytes_is_409_only_if_they_could_be_replaced(caller: Caller, package: Path, other: Path) -> None:
    caller.upload(package)
    assert refusal(caller.stage(other)) == (403, "exists")
    Channel.objects.update(allow_overwrite=True)
    assert refusal(caller.stage(other)) == (409, "exists")


def test_commit_without_the_bytes_gets_404(caller: Caller, package: Path, other: Path) -> None:
    dist_id = caller.stage(package).json()["dist_id"]
    assert refusal(caller.commit(package, dist_id)) == (404, "no_such_file")
    caller.upload(package)
    assert refusal(caller.commit(other, sha256(other))) == (409, "replaced")


def test_package_release_and_file_are_shown(caller: Caller, package: Path) -> None:
    for path in ("package/demo/demo", "release/demo/demo/1.0", f"dist/{place(package)}"):
        assert refusal(caller.ask("GET", path))[0] == 404
    caller.upload(package)
    base_name = f"noarch/{package.name}"
    shown = caller.ask("GET", "package/demo/demo").json()
    assert [file["basename"] for file in shown["files"]] == [base_name]
    assert [release["version"] for release in shown["releases"]] == ["1.0"]
    [file] = caller.ask("GET", "release/demo/demo/1.0").json()["distributions"]
    assert file["basename"] == base_name
    assert caller.ask("GET", f"dist/{place(package)}").json()["attrs"]["subdir"] == "noarch"


def test_key_for_uploads_alone_learns_only_whether_a_file_exists(caller: Caller, olga: User, package: Path) -> None:
    caller.upload(package)
    uploader = Caller(make_key(olga, scopes=("upload",)))
    assert refusal(uploader.ask("GET", "package/demo/demo"))[0] == 404
    assert uploader.ask("GET", f"dist/{place(package)}").json().keys() == {"basename", "description"}
    assert uploader.ask("POST", "package/demo/demo").status_code == 200
    assert uploader.ask("GET", "user/demo").json()["login"] == "demo"


@pytest.mark.parametrize(
    ("path", "status"), [("package/demo/demo", 201), ("release/demo/demo/1.0", 201), ("dist/{}", 200)]
)
def test_remove_deletes_files(caller: Caller, olga: User, package: Path, path: str, status: int) -> None:
    caller.upload(package)
    path = path.format(place(package))
    assert refusal(Caller(make_key(olga)).ask("DELETE", path))[0] == 403
    assert caller.ask("DELETE", path).status_code == status
    assert Artifact.objects.get().removal == Removal.DELETED
    assert refusal(caller.ask("DELETE", path)) == (404, "no_such_file")


def test_user_is_the_owner_of_the_key(channel: Channel, caller: Caller, olga: User) -> None:
    assert caller.ask("GET", "user").json()["login"] == "olga"
    assert Caller(make_robot(channel, olga)).ask("GET", "user").json()["login"] == "demo"
    assert Client().get("/anaconda/user").status_code == 401
    assert Client().head("/anaconda").status_code == 200


def test_bytes_replace_a_file_that_was_just_deleted_if_the_channel_allows_it(
    caller: Caller, olga: User, package: Path, other: Path
) -> None:
    """Clients with --force delete the file, then upload."""
    caller.upload(package)
    caller.ask("DELETE", f"dist/{place(package)}")
    assert refusal(caller.stage(other)) == (409, "name_deleted")
    Channel.objects.update(allow_overwrite=True)
    post_url = Caller(make_key(olga)).stage(other).json()["post_url"]
    assert refusal(send(post_url, other)) == (409, "may_not_restore")
    caller.upload(other)
    artifact = Artifact.objects.get()
    assert (artifact.sha256, artifact.removal) == (sha256(other), Removal.NONE)


def test_name_of_a_file_that_was_deleted_otherwise_stays_reserved(caller: Caller, package: Path, other: Path) -> None:
    Channel.objects.update(allow_overwrite=True)
    caller.upload(package)
    caller.ask("DELETE", f"dist/{place(package)}")
    long_ago = timezone.now() - timedelta(hours=1)
    for changes in ({"removal_reason": "malware"}, {"removed_by": None}, {"removed_at": long_ago}):
        before = Artifact.objects.values(*changes).get()
        Artifact.objects.update(**changes)
        assert refusal(caller.stage(other)) == (409, "name_deleted")
        Artifact.objects.update(**before)
