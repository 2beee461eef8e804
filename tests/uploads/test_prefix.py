"""The prefix protocol: forms, responses and errors. tests/clients uses the real client."""

import hashlib
import re
import tempfile
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from channels_app.models import Artifact, Channel, Role, User
from hub.storage import as_store_error
from hub.storage.folder import FolderStore
from tests.archives import make_conda
from tests.builders import make_key, make_member


@pytest.fixture
def bearer(channel: Channel, olga: User) -> dict[str, str]:
    return {"authorization": f"Bearer {make_key(olga)}"}


def post(client: Client, path: Path, headers: dict[str, str], url: str = "/api/v1/upload/demo") -> tuple[int, str]:
    named = {"x-file-name": path.name, "x-file-sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    answer = client.post(url, path.read_bytes(), "application/octet-stream", headers=named | headers)
    return answer.status_code, answer.text


def test_prefix_upload_of_bare_bytes_is_published(client: Client, bearer: dict[str, str], tmp_path: Path) -> None:
    path = make_conda(tmp_path)
    assert post(client, path, bearer) == (201, "demo/noarch/demo-1.0-0.conda published.\n")
    assert post(client, path, bearer) == (200, "demo/noarch/demo-1.0-0.conda exists already.\n")
    path = make_conda(tmp_path, files={"share/other": b"x"})
    status, text = post(client, path, bearer)
    assert (status, text.startswith("demo/noarch/demo-1.0-0.conda exists with other bytes")) == (409, True)


def test_prefix_upload_answers_with_links_to_its_page_and_to_wait(
    client: Client, bearer: dict[str, str], tmp_path: Path
) -> None:
    package = make_conda(tmp_path)
    body = package.read_bytes()
    headers = bearer | {"X-File-Name": package.name}
    answers = [
        client.post("/api/v1/upload/demo", body, content_type="application/octet-stream", headers=headers)
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [201, 200]
    for answer in answers:
        assert answer.headers["Location"] == f"/channels/demo/artifacts/noarch/{package.name}"
        found = re.fullmatch(r'<(/api/v1/channels/demo/wait\?sha256=\w{64})>; rel="status"', answer.headers["Link"])
        assert found
        assert client.get(found[1], headers=bearer).status_code == 408


def test_prefix_upload_of_a_form_is_published(client: Client, bearer: dict[str, str], tmp_path: Path) -> None:
    path = make_conda(tmp_path)
    answer = client.post(
        "/api/v1/upload/demo", {"file": SimpleUploadedFile(path.name, path.read_bytes())}, headers=bearer
    )
    assert answer.status_code == 201
    artifact = Artifact.objects.get()
    assert (artifact.file_name, artifact.uploaded_with is not None) == ("demo-1.0-0.conda", True)


@pytest.mark.parametrize("force", ["true", "True"])
def test_force_needs_the_channels_policy(client: Client, bearer: dict[str, str], tmp_path: Path, force: str) -> None:
    path, url = make_conda(tmp_path), f"/api/v1/upload/demo?force={force}"
    assert post(client, path, bearer, url)[0] == 403
    Channel.objects.update(allow_overwrite=True)
    assert post(client, path, bearer, url)[0] == 201
    path = make_conda(tmp_path, files={"share/other": b"x"})
    assert post(client, path, bearer, url)[0] == 201
    assert Artifact.objects.get().sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_prefix_upload_on_a_full_disk_is_refused(
    client: Client, bearer: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write to /dev/full fails as on a full disk."""
    path = make_conda(tmp_path)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", lambda **_: Path("/dev/full").open("wb"))  # noqa: SIM115
    form = {"file": SimpleUploadedFile(path.name, path.read_bytes())}
    answer = client.post("/api/v1/upload/demo", form, headers=bearer)
    assert (answer.status_code, answer.headers["X-Error-Code"], answer.headers["Retry-After"]) == (
        413,
        "disk_full",
        "60",
    )
    assert answer.text.startswith("The hub's disk is full. Nothing was changed;")
    assert not Artifact.objects.exists()


def test_a_store_whose_disk_is_full(
    client: Client, bearer: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: FolderStore, key: str, source: Path | bytes, **_: str) -> None:
        with as_store_error("put", key, OSError):
            Path("/dev/full").write_bytes(b"x")

    path = make_conda(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(FolderStore, "put", full)
        assert post(client, path, bearer)[0] == 413
    assert post(client, path, bearer)[0] == 201


def test_prefix_upload_without_permission_is_refused(
    client: Client, bearer: dict[str, str], channel: Channel, max_: User, sam: User, tmp_path: Path
) -> None:
    path = make_conda(tmp_path)
    make_member(channel, max_, Role.VIEWER)
    reader = {"authorization": f"Bearer {make_key(max_)}"}
    stranger = {"authorization": f"Bearer {make_key(sam)}"}
    assert post(client, path, {})[0] == 401
    assert post(client, path, {"authorization": "Bearer wrong"})[0] == 401
    assert post(client, path, reader)[0] == 403
    assert post(client, path, stranger)[0] == 403
    assert post(client, path, bearer, "/api/v1/upload/elsewhere")[0] == 403
    assert not Artifact.objects.exists()


def test_prefix_upload_without_permission_reads_no_body(
    client: Client, channel: Channel, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("publishing.protocols.steps.receive", lambda *_, **__: pytest.fail("the body was read"))
    assert post(client, make_conda(tmp_path), {})[0] == 401


def test_prefix_upload_to_a_wrong_url_gets_a_hint(client: Client, bearer: dict[str, str], tmp_path: Path) -> None:
    status, text = post(client, make_conda(tmp_path), bearer, "/api/v1/upload/")
    assert (status, text) == (400, "The URL names no channel; expected /api/v1/upload/<channel>.\n")
    answer = client.put("/api/v1/upload/demo")
    assert (answer.status_code, answer["Allow"], answer["X-Error-Code"]) == (405, "POST", "wrong_method")
    assert "a redirect changed the method" in answer.text


def test_deleting_takes_a_key_for_it(client: Client, channel: Channel, olga: User, tmp_path: Path) -> None:
    uploader, deleter = (
        {"authorization": f"Bearer {make_key(olga, scopes=scopes)}"} for scopes in (("upload", "read"), ("delete",))
    )
    post(client, make_conda(tmp_path), uploader)
    url = "/api/v1/delete/demo/noarch/demo-1.0-0.conda"
    assert client.delete(url).status_code == 401
    assert client.delete(url, headers=uploader).status_code == 403
    assert client.post(url, headers=deleter).status_code == 405
    answer = client.delete(url, headers=deleter)
    assert (answer.status_code, answer.text) == (200, "demo/noarch/demo-1.0-0.conda deleted.\n")
    assert client.delete(url, headers=deleter).status_code == 404
    assert Artifact.objects.get().removal == "deleted"


def test_a_damaged_package_is_422_with_its_reason(client: Client, bearer: dict[str, str], tmp_path: Path) -> None:
    path = make_conda(tmp_path)
    path.write_bytes(path.read_bytes()[:-30])
    status, text = post(client, path, bearer)
    assert (status, text.startswith("demo-1.0-0.conda was refused: ")) == (422, True)
    status, text = post(client, path, bearer | {"x-file-sha256": "0" * 64})
    assert (status, "the client announced" in text) == (422, True)
