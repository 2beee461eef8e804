"""Uploads that would restore a removed file: every protocol requires the right to restore."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from channels_app.access.permissions import SCOPES, Actor
from channels_app.authentication import api_keys
from channels_app.models import Artifact, AuditEvent, Channel, Removal, Role, User
from hub.errors import HubError
from hub.storage import store
from publishing.removal import removal
from publishing.transfer import channel_import
from publishing.uploads import upload
from tests.archives import make_conda
from tests.builders import (
    make_key,
    make_member,
    make_publisher,
    make_robot,
    make_short_lived_token,
    make_token,
    make_user,
    received,
)
from tests.pages import signed_in

pytestmark = pytest.mark.django_db

SENTENCE = "which requires the right to delete and restore in 'demo'"
Door = Callable[[Path], "tuple[int, str]"]


@pytest.fixture
def world(channel: Channel, olga: User, tmp_path: Path) -> Path:
    """Create a published package, the contributor Cora and the maintainer Mia. Return the package's file."""
    make_member(channel, make_user("cora"), Role.CONTRIBUTOR)
    make_member(channel, make_user("mia"), Role.MAINTAINER)
    path = make_conda(tmp_path)
    upload.publish(actor=Actor(user=olga), channel=channel, received=received(path))
    return path


def user(name: str) -> User:
    return User.objects.get(username=name)


def by_bearer(secret: str, query: str = "") -> Door:
    def upload_by(path: Path) -> tuple[int, str]:
        named = {"x-file-name": path.name, "authorization": f"Bearer {secret}"}
        answer = Client().post(
            f"/api/v1/upload/demo{query}", path.read_bytes(), "application/octet-stream", headers=named
        )
        return answer.status_code, answer.text

    return upload_by


def by_page(name: str) -> Door:
    def upload_by(path: Path) -> tuple[int, str]:
        sent = {"file": SimpleUploadedFile(path.name, path.read_bytes())}
        headers = {"Accept": "application/json"}
        answer = signed_in(user(name)).post("/channels/demo/settings/upload", sent, headers=headers)
        return answer.status_code, answer.text

    return upload_by


def robot(*scopes: str) -> str:
    return make_robot(Channel.objects.get(), user("olga"), scopes=scopes)


def short_lived() -> str:
    return make_short_lived_token(make_publisher(Channel.objects.get(), may_read=True))[1]


# Actors that may upload but not restore.
LOWER: dict[str, Callable[[], Door]] = {
    "a contributor by the page": lambda: by_page("cora"),
    "a contributor's key": lambda: by_bearer(make_key(user("cora"))),
    "a contributor's key with every scope": lambda: by_bearer(make_key(user("cora"), scopes=SCOPES)),
    "an owner's key to upload": lambda: by_bearer(make_key(user("olga"))),
    "a maintainer's key to upload and manage": lambda: by_bearer(make_key(user("mia"), scopes=("upload", "manage"))),
    "a robot": lambda: by_bearer(robot("read", "upload")),
    "a trusted publisher": lambda: by_bearer(short_lived()),
    "an application of an owner's": lambda: by_bearer(make_token(user("olga"), "channel:read", "channel:upload")),
}
HIGHER: dict[str, Callable[[], Door]] = {
    "a maintainer by the page": lambda: by_page("mia"),
    "a maintainer's key to delete": lambda: by_bearer(make_key(user("mia"), scopes=("upload", "delete"))),
    "a robot to delete": lambda: by_bearer(robot("upload", "delete")),
}


def remove(kind: Removal, *, is_purged: bool = False) -> None:
    artifact, by = Artifact.objects.get(), Actor(user=user("mia"))
    if kind == Removal.YANKED:
        removal.yank(actor=by, artifact=artifact, reason="broken")
    else:
        removal.delete(actor=by, artifact=artifact, reason="broken")
    if is_purged:
        store().delete(str(artifact))
        Artifact.objects.update(is_purged=True)


@pytest.mark.parametrize("is_purged", [False, True], ids=["in its grace", "purged"])
@pytest.mark.parametrize("who", LOWER)
def test_upload_of_deleted_bytes_without_permission_is_refused(world: Path, who: str, is_purged: bool) -> None:
    upload_by = LOWER[who]()
    remove(Removal.DELETED, is_purged=is_purged)
    status, text = upload_by(world)
    assert status == 409
    assert "demo/noarch/demo-1.0-0.conda was deleted." in text
    assert SENTENCE in text
    artifact = Artifact.objects.get()
    assert (artifact.removal, artifact.removal_reason) == ("deleted", "broken")
    assert not AuditEvent.objects.filter(action="artifact.restore").exists()


@pytest.mark.parametrize("who", HIGHER)
def test_upload_of_deleted_bytes_with_permission_restores_them(world: Path, who: str) -> None:
    upload_by = HIGHER[who]()
    remove(Removal.DELETED)
    assert upload_by(world)[0] == 201
    assert Artifact.objects.get().removal == ""
    event = AuditEvent.objects.get(action="artifact.restore")
    assert event.detail["removal"] == {"from": "deleted", "to": ""}


def test_page_without_recent_login_does_not_restore(world: Path) -> None:
    remove(Removal.DELETED)
    User.objects.filter(username="mia").update(password="usable")
    for is_fresh, expected in ((False, 409), (True, 201)):
        browser = signed_in(user("mia"), is_fresh=is_fresh)
        sent = {"file": SimpleUploadedFile(world.name, world.read_bytes())}
        answer = browser.post("/channels/demo/settings/upload", sent, headers={"Accept": "application/json"})
        assert answer.status_code == expected
        assert (Artifact.objects.get().removal == "") is is_fresh
        assert ("Restore it on its page after you confirm your identity." in answer.text) is not is_fresh


@pytest.mark.parametrize("who", LOWER)
def test_the_same_bytes_never_take_back_a_yank(world: Path, who: str) -> None:
    upload_by = LOWER[who]()
    remove(Removal.YANKED)
    assert upload_by(world)[0] == 200
    assert Artifact.objects.get().removal == "yanked"


@pytest.mark.parametrize("who", ["cora", "robot"])
def test_overwriting_takes_back_no_yank(world: Path, tmp_path: Path, who: str) -> None:
    Channel.objects.update(allow_overwrite=True)
    secret = robot("read", "upload") if who == "robot" else make_key(user(who))
    remove(Removal.YANKED)
    other = make_conda(tmp_path, files={"share/other": b"x"})
    status, text = by_bearer(secret, "?force=true")(other)
    assert (status, SENTENCE in text) == (409, True)
    assert Artifact.objects.get().removal == "yanked"
    higher = make_key(user("mia"), scopes=("upload", "delete"))
    assert by_bearer(higher, "?force=true")(other)[0] == 201
    artifact = Artifact.objects.get()
    assert (artifact.removal, artifact.sha256) == ("", hashlib.sha256(other.read_bytes()).hexdigest())
    assert AuditEvent.objects.get(action="artifact.overwrite").detail["removal"] == {"from": "yanked", "to": ""}


@pytest.mark.parametrize(
    ("uploader", "who", "expected"),
    [
        ("olga", "cora", 409),
        ("mia", "cora", 409),
        ("cora", "cora", 201),
        ("robot", "robot", 201),
        ("robot", "cora", 409),
        ("cora", "robot", 409),
        ("cora", "mia", 409),  # her key can't delete
        ("cora", "mia to delete", 201),
        ("minted", "cora", 409),
        ("minted", "robot", 409),
    ],
)
def test_overwriting_another_users_file_is_refused(
    channel: Channel, world: Path, tmp_path: Path, uploader: str, who: str, expected: int
) -> None:
    Channel.objects.update(allow_overwrite=True)
    secrets: dict[str, Callable[[], str]] = {
        "robot": lambda: robot("read", "upload"),
        "minted": short_lived,
        "mia to delete": lambda: make_key(user("mia"), scopes=("upload", "delete")),
    }
    first, second = (secrets[name]() if name in secrets else make_key(user(name)) for name in (uploader, who))
    assert by_bearer(first)(make_conda(tmp_path, name="nightly"))[0] == 201
    other = make_conda(tmp_path, name="nightly", files={"share/other": b"x"})
    status, text = by_bearer(second, "?force=true")(other)
    assert status == expected
    assert ("was uploaded by somebody else. Replacing its bytes requires the right to delete" in text) is (
        status == 409
    )


@pytest.mark.parametrize("step", ["reserve", "put"])
def test_artifact_deleted_during_an_upload_stays_deleted(
    world: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The stored bytes are damaged, so the upload puts them again."""
    Artifact.objects.update(quarantine_reason="Its bytes are wrong.")
    upload_by, real = LOWER["a contributor's key"](), getattr(upload, step)

    def meanwhile(*arguments: object) -> object:
        remove(Removal.DELETED)
        return real(*arguments)

    monkeypatch.setattr(upload, step, meanwhile)
    assert upload_by(world)[0] == 409
    assert Artifact.objects.get().removal == "deleted"


def test_import_restores_no_deleted_artifact(world: Path, channel: Channel) -> None:
    remove(Removal.DELETED)
    assert list(channel_import.import_packages(channel)) == []
    assert Artifact.objects.get().removal == "deleted"


def test_a_narrowed_key_removes_no_other_package(world: Path, channel: Channel, olga: User) -> None:
    secret = make_key(olga, scopes=("delete",), package_globs=["other-*"])
    address = "/api/v1/delete/demo/noarch/demo-1.0-0.conda"
    answer = Client().delete(address, headers={"authorization": f"Bearer {secret}"})
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (403, "name_not_allowed")
    actor = Actor(user=olga, key=api_keys.look_up(secret))
    Artifact.objects.update(removal="yanked", removed_at=timezone.now())
    with pytest.raises(HubError, match="limited to other package names"):
        removal.restore(actor=actor, artifact=Artifact.objects.get())
