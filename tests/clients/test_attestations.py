"""Attestations from end to end: the hub verifies and serves an uploaded one, and py-rattler accepts it."""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests import sigstore
from tests.archives import make_conda
from tests.clients.plain import Answer, ask, seconds_until_indexed, shard_records
from tests.clients.reader import Reader, ReadError
from tests.live import LiveHub
from tests.stack import client_hub

CHANNEL = "attested"
BOUNDARY = "boundary"
AT_ONCE = 8
MINT = f"""
from tests.builders import make_short_lived_token, make_publisher
channel, _ = Channel.objects.get_or_create(name={CHANNEL!r}, is_private=False)
publisher = channel.publishers.first() or make_publisher(channel)
answer = make_short_lived_token(publisher)[1]
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    folder = tmp_path_factory.mktemp("attested")
    root = folder / "trusted_root.json"
    root.write_text(sigstore.instance().trusted_root_json)
    with client_hub(folder, HUB_TRUST_ROOT=str(root)) as hub:
        yield hub


def publish(hub: LiveHub, folder: Path, name: str, **how: Any) -> str:
    """Upload a new package with its attestation as CI does. Return its file name when it is indexed."""
    file = make_conda(folder, name=name)
    answer = upload(hub, file, attest(hub, file, **how), hub.shell(MINT))
    assert answer.status == 201, answer.text
    seconds_until_indexed(hub, CHANNEL, "noarch", [file.name], None)
    return file.name


def attest(hub: LiveHub, file: Path, **how: Any) -> bytes:
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    return sigstore.instance().bundle(sigstore.statement(file.name, sha256, f"{hub.url}/{CHANNEL}"), **how)


def upload(hub: LiveHub, file: Path, bundle: bytes, key: str) -> Answer:
    """Upload a form with the part `attestation`, as the client does after it exchanged its identity token."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="'.encode()
    parts = [
        head + f'file"; filename="{file.name}"\r\n\r\n'.encode() + file.read_bytes(),
        head + b'attestation"; filename="attestation"\r\n\r\n' + bundle,
        f"--{BOUNDARY}--\r\n".encode(),
    ]
    return ask(
        hub,
        f"/api/v1/upload/{CHANNEL}",
        key,
        method="POST",
        body=b"\r\n".join(parts),
        headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"},
    )


def sidecars(hub: LiveHub, file_name: str) -> dict[str, bytes]:
    """Return name → bytes of the sidecars in the store, with and without SHA-256 in the name."""
    stored = hub.stored(f"{CHANNEL}/noarch/")
    return {name: content for name, content in stored.items() if name.startswith(f"{file_name}.sigs")}


@pytest.mark.parametrize("shards", [True, False])
def test_py_rattler_accepts_served_attestations(hub: LiveHub, tmp_path: Path, shards: bool) -> None:
    file_name = publish(hub, tmp_path, f"good-{shards}".lower())
    reader = Reader(f"{hub.url}/{CHANNEL}", shards=shards)
    [attestation] = [reader.verify(file_name, sigstore.instance().trusted_root_json)["attestation"]]
    claims = sigstore.certificate_claims()
    assert attestation["issuer"] == claims["issuer"]
    assert attestation["identity"] == claims["build_signer_uri"]
    assert attestation["target_channel"] == f"{hub.url}/{CHANNEL}"
    assert attestation["claims"]["source_repository_identifier"] == claims["source_repository_identifier"]
    assert attestation["log_index"] == sigstore.LOG_INDEX
    assert set(attestation["checks"].values()) == {True}
    assert attestation["warnings"] == []


@pytest.mark.parametrize("log_version", [1, 2])
def test_py_rattler_accepts_timestamps(hub: LiveHub, tmp_path: Path, log_version: int) -> None:
    stamped = {"stamped_by": sigstore.instance().timestamps, "log_version": log_version}
    file_name = publish(hub, tmp_path, f"stamped-{log_version}", **stamped)
    reader = Reader(f"{hub.url}/{CHANNEL}")
    assert reader.verify(file_name, sigstore.instance().trusted_root_json)["attestation"]["warnings"] == []


def test_both_addresses_have_the_same_bytes(hub: LiveHub, tmp_path: Path) -> None:
    file_name = publish(hub, tmp_path, "twofold")
    sha256 = shard_records(hub, CHANNEL, "noarch")[file_name]["attestations_sha256"]
    newest = ask(hub, f"/{CHANNEL}/noarch/{file_name}.sigs")
    fixed = ask(hub, f"/{CHANNEL}/noarch/{file_name}.sigs.{sha256}")
    assert newest.status == fixed.status == 200
    assert newest.body == fixed.body
    assert hashlib.sha256(fixed.body).hexdigest() == sha256
    assert len(json.loads(fixed.body)) == 1
    assert sidecars(hub, file_name) == {
        f"{file_name}.sigs": fixed.body,
        f"{file_name}.sigs.{sha256}": fixed.body,
    }


def test_py_rattler_refuses_a_tampered_sidecar(hub: LiveHub, tmp_path: Path) -> None:
    file_name = publish(hub, tmp_path, "tampered")
    [(name, content)] = [entry for entry in sidecars(hub, file_name).items() if not entry[0].endswith(".sigs")]
    tampered = content.replace(b"[", b"[ ")
    hub.shell(f"from hub.storage import store\nstore().put('{CHANNEL}/noarch/{name}', {tampered!r})")
    with pytest.raises(ReadError, match="hash"):
        Reader(f"{hub.url}/{CHANNEL}").verify(file_name, sigstore.instance().trusted_root_json)


def test_py_rattler_refuses_attestations_of_another_instance(hub: LiveHub, tmp_path: Path) -> None:
    file_name = publish(hub, tmp_path, "elsewhere")
    with pytest.raises(ReadError, match="verif"):
        Reader(f"{hub.url}/{CHANNEL}").verify(file_name, sigstore.instance("other").trusted_root_json)


def test_refused_attestation_is_reported_to_the_client(hub: LiveHub, tmp_path: Path) -> None:
    file = make_conda(tmp_path, name="bad")
    statement = sigstore.statement(file.name, "0" * 64, f"{hub.url}/{CHANNEL}")
    answer = upload(hub, file, sigstore.instance().bundle(statement), hub.shell(MINT))
    assert answer.status == 422
    assert answer.text.startswith(f"The attestation of {file.name} was refused: it is about other bytes, ")


def test_none_is_lost_where_several_come_at_once(hub: LiveHub, tmp_path: Path) -> None:
    file, key = make_conda(tmp_path, name="busy"), hub.shell(MINT)
    bundles = [attest(hub, file) for _ in range(AT_ONCE)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda bundle: upload(hub, file, bundle, key), bundles))
    assert sorted(answer.status for answer in answers) == [*[200] * (AT_ONCE - 1), 201]
    served = ask(hub, f"/{CHANNEL}/noarch/{file.name}.sigs").body
    assert sorted(map(signature, json.loads(served))) == sorted(map(signature, map(json.loads, bundles)))
    assert sidecars(hub, file.name)[f"{file.name}.sigs"] == served


def signature(bundle: dict[str, Any]) -> str:
    found: str = bundle["dsseEnvelope"]["signatures"][0]["sig"]
    return found
