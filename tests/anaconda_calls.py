"""Requests of the anaconda protocol, as its clients send them."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.pages import Response

EVERYTHING = ("read", "upload", "delete")


@dataclass
class Caller:
    """A client of the anaconda protocol with a key."""

    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"token {self.key}"}

    def ask(self, method: str, path: str, document: dict[str, Any] | None = None) -> Response:
        body = json.dumps(document or {})
        return Client(headers=self.headers).generic(method, f"/anaconda/{path}", body, "application/json")

    def stage(self, package: Path, channel: str = "demo", **changes: object) -> Response:
        document = {"distribution_type": "conda", "channels": ["main"], "sha256": sha256(package), **changes}
        return self.ask("POST", f"stage/{place(package, channel)}", document)

    def commit(self, package: Path, dist_id: str) -> Response:
        return self.ask("POST", f"commit/{place(package)}", {"dist_id": dist_id})

    def upload(self, package: Path) -> None:
        staged = self.stage(package).json()
        assert send(staged["post_url"], package).status_code == 201
        assert self.commit(package, staged["dist_id"]).status_code == 200


def place(package: Path, channel: str = "demo") -> str:
    name, version, _ = package.name.rsplit("-", 2)
    return f"{channel}/{name}/{version}/noarch/{package.name}"


def sha256(package: Path) -> str:
    return hashlib.sha256(package.read_bytes()).hexdigest()


def send(post_url: str, package: Path, **headers: str) -> Response:
    """Send the bytes without a credential, as both clients do."""
    form = {"Content-MD5": "ignored", "file": SimpleUploadedFile(f"noarch/{package.name}", package.read_bytes())}
    return Client().post(post_url, form, headers=headers)


def refusal(answer: Response) -> tuple[int, str]:
    return answer.status_code, answer.headers["X-Error-Code"]
