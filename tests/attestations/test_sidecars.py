"""Sidecars of attestations from upload to deletion: stored, appended, served, and deleted with their artifact."""

import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, AuditEvent, Channel, User
from hub.errors import HubError
from hub.storage import StoreError, store
from publishing.attestations import sidecars
from publishing.attestations.errors import VerifiedAttestation
from publishing.index import repodata, shards
from publishing.models import Attestation, SubdirIndex
from publishing.removal import removal
from publishing.uploads import upload
from publishing.uploads.values import UploadResult
from tests import sigstore
from tests.archives import make_conda
from tests.builders import make_artifact, make_channel, make_key, make_publisher, make_short_lived_token, received

PLACE = "demo/noarch/demo-1.0-0.conda"

RunCommits = Callable[..., AbstractContextManager[object]]
Publish = Callable[..., UploadResult]


@pytest.fixture(autouse=True)
def trusted_root(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "trusted_root.json"
    path.write_text(sigstore.instance().trusted_root_json)
    settings.HUB_TRUST_ROOT = str(path)


@pytest.fixture
def ci(channel: Channel) -> Actor:
    """Return an actor with a short-lived token of the CI that `channel` trusts."""
    return Actor(key=make_short_lived_token(make_publisher(channel))[0])


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_conda(tmp_path)


@pytest.fixture
def publish(channel: Channel, settings: Settings, django_capture_on_commit_callbacks: RunCommits) -> Publish:
    """Return a function that uploads a file, with a valid or the given attestation, and runs the commit's callbacks."""

    def do(actor: Actor, path: Path, *, force: bool = False, **given: bytes | None) -> UploadResult:
        arrived = received(path)
        statement = sigstore.statement(path.name, arrived.sha256, f"{settings.HUB_PUBLIC_URL}/{channel}")
        bundle = given["attestation"] if given else sigstore.instance().bundle(statement)
        with django_capture_on_commit_callbacks(execute=True):
            return upload.publish(
                actor=actor, channel=channel, received=replace(arrived, attestation=bundle), force=force
            )

    return do


def stored() -> dict[str, bytes]:
    """Return all files in the store except packages."""
    return {key: read(key) for key in store().list("") if not key.endswith(".conda")}


def read(key: str) -> bytes:
    return b"".join(store().open(key))


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def verified(number: int, padding: str = "") -> VerifiedAttestation:
    """Return an attestation that counts as verified, for tests of other steps."""
    return VerifiedAttestation(json.dumps({"bundle": number, "padding": padding}), {"log_index": str(number)})


def refusal(publish: Publish, *arguments: Any, **options: Any) -> HubError:
    with pytest.raises(HubError) as caught:
        publish(*arguments, **options)
    return caught.value


def test_an_attestation_is_kept_with_its_artifact(channel: Channel, ci: Actor, package: Path, publish: Publish) -> None:
    artifact = publish(ci, package).artifact
    [attestation] = Attestation.objects.all()
    content = f"[{attestation.bundle}]".encode()
    assert artifact.attestations_sha256 == sha256_of(content)
    assert stored() == {f"{PLACE}.sigs": content, f"{PLACE}.sigs.{sha256_of(content)}": content}
    assert (attestation.artifact, attestation.position) == (artifact, 0)
    assert attestation.claims["source_repository_uri"] == "https://github.com/octo-org/sample"
    assert [event.action for event in AuditEvent.objects.filter(channel=channel)] == ["artifact.publish"]


def test_the_record_and_the_shard_name_the_sidecar(ci: Actor, package: Path, publish: Publish) -> None:
    artifact = publish(ci, package).artifact
    assert repodata.record(artifact)["attestations_sha256"] == artifact.attestations_sha256
    assert artifact.attestations_sha256 in repodata.entries(artifact, is_newest=True)["packages.conda"]
    assert artifact.attestations_sha256.encode() in shards.shard_entry(artifact)
    plain = publish(ci, make_conda(package.parent, name="plain"), attestation=None).artifact
    assert "attestations_sha256" not in repodata.record(plain)


def test_the_same_bytes_with_another_attestation_append_it(ci: Actor, package: Path, publish: Publish) -> None:
    first = publish(ci, package).artifact.attestations_sha256
    before, wanted = read(f"{PLACE}.sigs"), SubdirIndex.objects.get().requested_revision
    again = publish(ci, package)
    after = read(f"{PLACE}.sigs")
    assert not again.is_new
    assert after.startswith(before.removesuffix(b"]") + b",")
    assert len(json.loads(after)) == 2
    assert again.artifact.attestations_sha256 == sha256_of(after) == Artifact.objects.get().attestations_sha256
    assert read(f"{PLACE}.sigs.{first}") == before
    assert SubdirIndex.objects.get().requested_revision == wanted + 1
    assert AuditEvent.objects.filter(action="artifact.attest").count() == 1


def test_same_attestation_again_changes_no_sidecar(
    settings: Settings, ci: Actor, package: Path, publish: Publish
) -> None:
    statement = sigstore.statement(package.name, received(package).sha256, f"{settings.HUB_PUBLIC_URL}/demo")
    bundle = sigstore.instance().bundle(statement)
    publish(ci, package, attestation=bundle)
    before, wanted = stored(), SubdirIndex.objects.get().requested_revision
    assert not publish(ci, package, attestation=bundle).is_new
    assert (stored(), SubdirIndex.objects.get().requested_revision) == (before, wanted)


def test_refused_attestation_stores_no_file(ci: Actor, package: Path, publish: Publish) -> None:
    other = sigstore.instance().bundle(sigstore.statement(package.name, "0" * 64, "http://127.0.0.1:8000/demo"))
    error = refusal(publish, ci, package, attestation=other)
    assert (error.status, error.code) == (422, "attestation_wrong_subject")
    assert not Artifact.objects.exists()
    assert list(store().list("")) == []


@pytest.mark.parametrize("with_key", [True, False])
def test_an_attestation_needs_a_trusted_publisher(olga: User, package: Path, publish: Publish, with_key: bool) -> None:
    make_key(olga)
    actor = Actor(user=olga, key=olga.keys.get() if with_key else None)
    error = refusal(publish, actor, package)
    assert (error.status, error.code) == (422, "attestation_needs_trusted_publisher")
    assert "Upload from CI without an API key, or leave the attestation out." in error.detail


def test_a_channel_may_require_attestations(channel: Channel, ci: Actor, package: Path, publish: Publish) -> None:
    channel.require_attestation = True
    channel.save()
    error = refusal(publish, ci, package, attestation=None)
    assert (error.status, error.code) == (422, "attestation_missing")
    assert "Publish from CI as a trusted publisher, with `--generate-attestation`." in error.detail
    assert publish(ci, package).artifact.attestations_sha256


def test_other_bytes_take_the_attestations_with_them(
    channel: Channel, olga: User, ci: Actor, package: Path, publish: Publish
) -> None:
    channel.allow_overwrite = True
    channel.save()
    publish(ci, package)
    (package.parent / "other").mkdir()
    other = make_conda(package.parent / "other", files={"share/demo.txt": b"other\n"})
    artifact = publish(Actor(user=olga), other, attestation=None, force=True).artifact
    assert artifact.attestations_sha256 == ""
    assert (Attestation.objects.count(), stored()) == (0, {})


def test_a_purge_takes_every_state_of_the_sidecar(
    olga: User, ci: Actor, package: Path, publish: Publish, django_capture_on_commit_callbacks: RunCommits
) -> None:
    publish(ci, package)
    artifact = publish(ci, package).artifact
    removal.delete(actor=Actor(user=olga), artifact=artifact, reason="")
    assert len(stored()) == 3
    Artifact.objects.update(removed_at=timezone.now() - timedelta(days=400))
    with django_capture_on_commit_callbacks(execute=True):
        removal.purge_deleted()
    assert (list(store().list("")), Attestation.objects.count()) == ([], 0)
    removal.release(actor=Actor(user=olga), artifact=artifact)
    assert publish(ci, package).artifact.attestations_sha256
    assert Attestation.objects.count() == 1


def test_a_released_name_has_no_attestations(
    olga: User, ci: Actor, package: Path, publish: Publish, django_capture_on_commit_callbacks: RunCommits
) -> None:
    artifact = publish(ci, package).artifact
    removal.delete(actor=Actor(user=olga), artifact=artifact, reason="")
    with django_capture_on_commit_callbacks(execute=True):
        removal.release(actor=Actor(user=olga), artifact=artifact)
    assert list(store().list("")) == []


def test_same_bytes_after_a_deletion_keep_their_attestations(
    olga: User, ci: Actor, package: Path, publish: Publish
) -> None:
    artifact = publish(ci, package).artifact
    removal.delete(actor=Actor(user=olga), artifact=artifact, reason="")
    with pytest.raises(HubError, match="requires the right to delete and restore"):
        publish(ci, package)
    assert publish(Actor(user=olga), package, attestation=None).is_new
    publish(ci, package)
    assert len(json.loads(read(f"{PLACE}.sigs"))) == 2


def test_a_sidecar_stays_readable_for_clients(channel: Channel, olga: User) -> None:
    artifact = make_artifact(channel)
    half = "x" * (sidecars.SIDECAR_MAX_BYTES // 2)
    sidecars.add(actor=Actor(user=olga), artifact=artifact, verified=verified(1, half))
    with pytest.raises(HubError, match="clients read at most 4,194,304") as caught:
        sidecars.add(actor=Actor(user=olga), artifact=artifact, verified=verified(2, half))
    assert (caught.value.status, caught.value.code) == (413, "attestations_too_large")
    assert Attestation.objects.count() == 1


def test_a_store_that_fails_leaves_no_attestation(
    channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StoreError("no space")

    artifact = make_artifact(channel)
    monkeypatch.setattr(store(), "put", fail)
    with pytest.raises(StoreError):
        sidecars.add(actor=Actor(user=olga), artifact=artifact, verified=verified(1))
    assert not Attestation.objects.exists()


def test_attestation_stored_concurrently_is_kept(channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first attestation finds that its sidecar is outdated, and builds it again."""
    artifact, put = make_artifact(channel), sidecars.put

    def put_after_another(*arguments: Any) -> Any:
        sidecar = put(*arguments)
        monkeypatch.setattr(sidecars, "put", put)
        sidecars.add(actor=Actor(user=olga), artifact=artifact, verified=verified(2))
        return sidecar

    monkeypatch.setattr(sidecars, "put", put_after_another)
    sidecars.add(actor=Actor(user=olga), artifact=artifact, verified=verified(1))
    assert [each.claims["log_index"] for each in Attestation.objects.all()] == ["2", "1"]
    assert read(f"{PLACE}.sigs.{Artifact.objects.get().attestations_sha256}").count(b"bundle") == 2


@pytest.fixture
def served(channel: Channel, ci: Actor, package: Path, publish: Publish) -> Artifact:
    """Return an artifact of a public channel, with two attestations."""
    channel.is_private = False
    channel.save()
    publish(ci, package)
    return publish(ci, package).artifact


def test_sidecars_are_served_by_name_and_by_hash(client: Client, served: Artifact) -> None:
    newest = client.get(f"/{PLACE}.sigs")
    fixed = client.get(f"/{PLACE}.sigs.{served.attestations_sha256}")
    assert newest.getvalue() == fixed.getvalue() == read(f"{PLACE}.sigs")
    for answer, caching in ((newest, "public, no-cache, max-age=0"), (fixed, "public, max-age=31536000, immutable")):
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Cache-Control"] == caching
        assert answer.headers["ETag"] == f'"{served.attestations_sha256}"'
        assert int(answer.headers["Content-Length"]) == len(read(f"{PLACE}.sigs"))
    assert client.head(f"/{PLACE}.sigs").headers["Content-Length"] == newest.headers["Content-Length"]
    assert client.get(f"/{PLACE}.sigs", headers={"If-None-Match": newest.headers["ETag"]}).status_code == 304


def test_an_older_state_is_still_served(client: Client, served: Artifact) -> None:
    first = f"[{Attestation.objects.get(position=0).bundle}]".encode()
    assert client.get(f"/{PLACE}.sigs.{sha256_of(first)}").getvalue() == first


def test_a_sidecar_is_no_download(client: Client, served: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    monkeypatch.setattr("channels_app.packages.download_counts.count", counted.append)
    client.get(f"/{PLACE}.sigs")
    assert counted == []


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (f"/{PLACE}.sigs.{'0' * 64}", "There is no such file any more."),
        (f"/{PLACE}.sigs.{'A' * 64}", "'demo' has no file"),
        (f"/{PLACE}.sigs.12", "'demo' has no file"),
        ("/demo/noarch/other-1.0-0.conda.sigs", "'demo' has no file 'noarch/other-1.0-0.conda'."),
    ],
)
def test_bad_name_of_a_sidecar_is_404(client: Client, served: Artifact, path: str, reason: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.content.decode().startswith(reason)) == (404, True)


@pytest.mark.django_db
def test_a_file_without_attestations_has_no_sidecar(client: Client) -> None:
    make_artifact(make_channel(is_private=False))
    answer = client.get(f"/{PLACE}.sigs")
    assert (answer.status_code, answer.content) == (404, b"'noarch/demo-1.0-0.conda' has no attestation.\n")


def test_a_deleted_file_has_no_sidecar_and_a_yanked_one_has(client: Client, olga: User, served: Artifact) -> None:
    removal.yank(actor=Actor(user=olga), artifact=served, reason="")
    assert client.get(f"/{PLACE}.sigs").status_code == 200
    removal.delete(actor=Actor(user=olga), artifact=served, reason="")
    assert client.get(f"/{PLACE}.sigs.{served.attestations_sha256}").status_code == 404


def test_strangers_do_not_see_the_sidecars_of_a_private_channel(
    client: Client, channel: Channel, served: Artifact, sam: User
) -> None:
    channel.is_private = True
    channel.save()
    assert client.get(f"/{PLACE}.sigs").status_code == 401
    assert client.get(f"/{PLACE}.sigs", headers={"Authorization": f"Bearer {make_key(sam)}"}).status_code == 403
