"""Tests of provenance: on the artifact's page, in the package's list of files, and in the API."""

import html
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from channels_app.models import Artifact, Channel, User
from channels_app.packages import provenance
from publishing.id_tokens.providers import PROVIDERS
from tests.builders import make_artifact, make_channel, make_key
from tests.id_tokens.builders import SHA, github_claims
from tests.pages import text
from tests.sigstore import certificate_claims

SIDECAR_SHA256 = "ab" * 32
SIDECAR_URL = f"http://127.0.0.1:8000/demo/noarch/demo-1.0-0.conda.sigs.{SIDECAR_SHA256}"
PAGE = "/channels/demo/artifacts/noarch/demo-1.0-0.conda"
API = "/api/v1/channels/demo/artifacts/noarch/demo-1.0-0.conda/provenance"
RUN = PROVIDERS["github"].provenance(github_claims()).as_dict()


@pytest.fixture
def open_channel(db: None) -> Channel:
    return make_channel(is_private=False)


def attest(artifact: Artifact, log_id: str = provenance.SEARCHABLE_LOG_ID, **claims: str) -> Artifact:
    artifact.attestations.create(
        position=artifact.attestations.count(),
        bundle="{}",
        claims=certificate_claims(**claims)
        | {"signed_at": "2026-11-20T09:41:00+00:00", "log_index": "4711", "log_id": log_id},
    )
    artifact.attestations_sha256 = SIDECAR_SHA256
    artifact.save()
    return artifact


def get(client: Client, path: str = API, key: str = "") -> Any:
    return client.get(path, headers={"Authorization": f"Bearer {key}"} if key else {})


def test_page_shows_the_attested_build(client: Client, open_channel: Channel) -> None:
    attest(make_artifact(open_channel, provenance=RUN))
    page = text(client.get(PAGE))
    assert "Attested</span></span></header>" in page
    for link in (RUN["repository_url"], RUN["commit_url"], RUN["workflow_url"], RUN["run_url"], SIDECAR_URL):
        assert f'href="{link}"' in page
    assert "Signed 20 Nov 2026, 09:41 UTC" in page
    assert '<a href="https://search.sigstore.dev/?logIndex=4711" rel="nofollow">log entry 4711</a>' in page
    assert "rattler verify-attestation http://127.0.0.1:8000/demo/noarch/demo-1.0-0.conda" in page
    assert "--identity &#x27;https://github.com/octo-org/sample/*&#x27; --issuer https://token.actions" in page


def test_verify_command_is_quoted_for_shells(client: Client, open_channel: Channel) -> None:
    attest(make_artifact(open_channel, version="1!2.0"), source_repository_uri="https://github.com/a'$(b)")
    command = html.unescape(text(client.get(PAGE.replace("1.0", "1!2.0"))))
    assert "rattler verify-attestation 'http://127.0.0.1:8000/demo/noarch/demo-1!2.0-0.conda'" in command
    assert """--identity 'https://github.com/a'"'"'$(b)/*' --issuer""" in command


def test_page_of_a_publishers_upload_without_attestation_shows_a_hint(client: Client, open_channel: Channel) -> None:
    make_artifact(open_channel, provenance=RUN)
    page = text(client.get(PAGE))
    assert "The hub verified the uploader, but no attestation can be downloaded" in page
    assert f'href="{RUN["run_url"]}"' in page
    assert "verify-attestation" not in page


def test_page_without_provenance_shows_that_it_is_unknown(client: Client, open_channel: Channel) -> None:
    make_artifact(open_channel)
    assert "The origin of this file is not verified." in text(client.get(PAGE)).replace("&#x27;", "'")


def test_an_attestation_alone_says_where_it_was_built(client: Client, open_channel: Channel) -> None:
    attest(make_artifact(open_channel))
    page = text(client.get(PAGE))
    assert '<a class="name" href="https://github.com/octo-org/sample" rel="nofollow">octo-org/sample</a>' in page
    assert SHA[:7] in page
    assert '<span class="name">release.yml</span>' in page


def test_links_are_https_alone(client: Client, open_channel: Channel) -> None:
    attest(make_artifact(open_channel), source_repository_uri="javascript:alert(1)", run_invocation_uri="http://x")
    page = text(client.get(PAGE))
    assert 'href="javascript' not in page
    assert 'href="http://x"' not in page


def test_a_private_instance_has_no_public_log_and_no_public_command(
    client: Client, open_channel: Channel, settings: Settings
) -> None:
    settings.HUB_TRUST_ROOT = "/private.json"
    attest(make_artifact(open_channel), log_id="00" * 32)
    page = text(client.get(PAGE))
    assert "search.sigstore.dev" not in page
    assert "verify-attestation" not in page
    assert "log entry 4711" in page


def test_the_packages_page_marks_attested_files(client: Client, open_channel: Channel) -> None:
    attest(make_artifact(open_channel))
    make_artifact(open_channel, build="1")
    page = text(client.get("/channels/demo/packages/demo"))
    assert page.count("Attested</span>") == 1


def test_programs_get_all_of_it(client: Client, open_channel: Channel) -> None:
    artifact = attest(make_artifact(open_channel, provenance=RUN))
    answer = get(client)
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.json() == {
        "state": "attested",
        "sha256": artifact.sha256,
        "provenance": RUN,
        "attestations": [
            {
                "signed_at": "2026-11-20T09:41:00+00:00",
                "log_index": "4711",
                "log_url": "https://search.sigstore.dev/?logIndex=4711",
                "certificate": certificate_claims(),
            }
        ],
        "attestations_sha256": SIDECAR_SHA256,
        "attestations_url": SIDECAR_URL,
    }


def test_api_without_provenance_returns_that_it_is_unknown(client: Client, open_channel: Channel) -> None:
    artifact = make_artifact(open_channel)
    nothing = {"provenance": {}, "attestations": [], "attestations_sha256": "", "attestations_url": ""}
    assert get(client).json() == {"state": "unknown", "sha256": artifact.sha256, **nothing}


def test_a_private_channel_is_for_its_members(client: Client, channel: Channel, olga: User, sam: User) -> None:
    make_artifact(channel)
    assert get(client).status_code == 401
    assert get(client, key=make_key(sam)).status_code == 403
    assert get(client, key=make_key(olga)).json()["state"] == "unknown"


def test_a_missing_or_deleted_file_is_not_found(client: Client, open_channel: Channel) -> None:
    make_artifact(open_channel, removal="deleted")
    for path in (API, API.replace("1.0-0", "2.0-0")):
        answer = get(client, path)
        assert answer.status_code == 404
        assert answer.content.decode().startswith("'demo' has no file 'noarch/demo-")


def test_provenance_is_only_read(client: Client, open_channel: Channel) -> None:
    answer = client.post(API)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
