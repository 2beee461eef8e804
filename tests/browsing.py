"""Helpers of page tests: the text of a page, and a listed package."""

from typing import Any

from django.test import Client

from channels_app.models import Artifact, Channel
from channels_app.packages import packages
from tests.builders import make_artifact


def page(client: Client, url: str, status: int = 200) -> str:
    response = client.get(url, headers={"accept": "text/html"})
    assert response.status_code == status, response.content.decode()
    return response.content.decode()


def publish(channel: Channel, name: str = "demo", version: str = "1.0", build: str = "0", **fields: Any) -> Artifact:
    artifact = make_artifact(channel, name, version, build, **fields)
    packages.refresh(artifact.package)
    return artifact


def artifact_url(artifact: Artifact) -> str:
    return f"/channels/{artifact.channel}/artifacts/{artifact.subdir}/{artifact.file_name}"
