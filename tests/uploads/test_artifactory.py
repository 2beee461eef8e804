"""The Artifactory protocol: uploads by PUT to the address of the file, and its aliases."""

import base64
import hashlib
from pathlib import Path

import pytest
from django.test import Client

from channels_app.authentication import decision_cache
from channels_app.models import Artifact, Channel, Role, User
from tests.archives import make_conda
from tests.builders import make_key, make_member
from tests.pages import signed_in

pytestmark = pytest.mark.django_db

ADDRESSES = ["/{}/noarch/{}", "/artifactory/{}/noarch/{}", "/artifactory/api/conda/{}/noarch/{}"]


@pytest.fixture
def key(channel: Channel, olga: User) -> str:
    return make_key(olga)


def put(
    client: Client, path: Path, headers: dict[str, str], address: str = ADDRESSES[0], channel: str = "demo"
) -> tuple[int, str]:
    content = path.read_bytes()
    answer = client.put(address.format(channel, path.name), content, "application/octet-stream", headers=headers)
    return answer.status_code, answer.headers.get("X-Error-Code", "")


def sent_by(key: str) -> list[dict[str, str]]:
    """Return the headers of each way in which clients of Artifactory send a key."""
    users = (f"me:{key}", f"{key}:", f"{key}:x-oauth-basic")
    return [
        {"Authorization": f"Bearer {key}"},
        *({"Authorization": "Basic " + base64.b64encode(user.encode()).decode()} for user in users),
        {"X-JFrog-Art-Api": key},
        {"X-API-Key": key},
    ]


@pytest.mark.parametrize("address", ADDRESSES)
def test_put_by_every_credential_is_published_once(client: Client, key: str, tmp_path: Path, address: str) -> None:
    path, expected = make_conda(tmp_path), 201
    for headers in sent_by(key):
        assert put(client, path, headers, address) == (expected, "")
        expected = 200
    assert put(client, path, {}, f"/t/{key}{address}") == (200, "")
    other = make_conda(tmp_path, files={"share/other": b"x"})
    assert put(client, other, {"X-JFrog-Art-Api": key}, address) == (409, "exists")
    assert Artifact.objects.get().subdir == "noarch"


@pytest.mark.parametrize("address", ADDRESSES)
def test_address_of_a_package_reads_it(client: Client, key: str, tmp_path: Path, address: str) -> None:
    path, headers = make_conda(tmp_path), {"X-JFrog-Art-Api": key}
    put(client, path, headers)
    for reader in (Client(headers=headers), signed_in(User.objects.get(username="olga"))):
        answer = reader.get(address.format("demo", path.name))
        assert b"".join(answer) == path.read_bytes()
        assert reader.head(address.format("demo", path.name)).headers["Content-Length"] == str(path.stat().st_size)
    answer = client.get(address.format("demo", "repodata.json"), headers=headers)
    assert answer.status_code == 200
    assert client.get(address.format("demo", path.name)).status_code == 401
    answer = client.delete(address.format("demo", path.name), headers=headers)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (405, "no_delete_here")


def test_put_without_permission_is_refused(
    client: Client, channel: Channel, max_: User, sam: User, tmp_path: Path
) -> None:
    path = make_conda(tmp_path)
    make_member(channel, max_, Role.VIEWER)
    assert put(client, path, {}) == (401, "credential_needed")
    assert put(signed_in(User.objects.get(username="olga")), path, {}) == (401, "credential_needed")
    assert put(client, path, {"Authorization": "Bearer wrong"}) == (401, "invalid_key")
    assert put(client, path, {"X-API-Key": make_key(max_)}) == (403, "role_missing")
    stranger = {"X-API-Key": make_key(sam)}
    assert put(client, path, stranger) == put(client, path, stranger, channel="nowhere")
    assert not Artifact.objects.exists()


def test_put_without_permission_reads_no_body(
    client: Client, channel: Channel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("publishing.protocols.steps.receive", lambda *_, **__: pytest.fail("the body was read"))
    assert put(client, make_conda(tmp_path), {}) == (401, "credential_needed")


def test_put_to_an_address_of_another_package_is_refused(client: Client, key: str, tmp_path: Path) -> None:
    path, headers = make_conda(tmp_path), {"X-JFrog-Art-Api": key}
    assert put(client, path, headers, "/{}/linux-64/{}") == (422, "wrong_subdir")
    assert put(client, path, headers, "/{}/elsewhere/{}") == (404, "no_upload_here")
    assert put(client, path, headers | {"X-Checksum-Sha256": "0" * 64}) == (422, "checksum_mismatch")
    renamed = path.rename(tmp_path / "other-1.0-0.conda")
    assert put(client, renamed, headers) == (422, "bad_package")
    renamed.write_bytes(renamed.read_bytes()[:-30])
    assert put(client, renamed, headers)[0] == 422
    assert not Artifact.objects.exists()


def test_put_with_the_checksum_of_the_file_is_published(client: Client, key: str, tmp_path: Path) -> None:
    path = make_conda(tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest().upper()
    assert put(client, path, {"X-JFrog-Art-Api": key, "X-Checksum-Sha256": digest}) == (201, "")


def test_put_with_force_needs_the_channels_policy(client: Client, key: str, tmp_path: Path) -> None:
    headers, address = {"X-JFrog-Art-Api": key}, "/{}/noarch/{}?force=true"
    assert put(client, make_conda(tmp_path), headers, address) == (403, "overwriting_off")
    Channel.objects.update(allow_overwrite=True)
    decision_cache.clear()
    for text in (b"one", b"two"):
        assert put(client, make_conda(tmp_path, files={"share/text": text}), headers, address) == (201, "")
