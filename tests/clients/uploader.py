"""py-rattler-build as the uploader of a CI job: without a key, in a process with only the job's environment."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.live import LiveHub
from tests.oidc import TOKENS, FakeIssuer

CLIENT_S = 120
UPLOAD = (
    "import sys; from rattler_build import upload_package_to_prefix as upload; "
    "upload(sys.argv[3:], sys.argv[1], sys.argv[2])"
)


class UploadError(Exception):
    """The error message of py-rattler-build."""


def upload_in_ci(hub: LiveHub, channel: str, file: Path, job: dict[str, str]) -> None:
    """Upload `file` in a job with the environment `job`. Raise UploadError."""
    _upload(hub, channel, file, {"CI": "true"} | job, {})


def upload_signed_in(hub: LiveHub, channel: str, file: Path, credential: dict[str, Any]) -> None:
    """Upload `file` with a credential in the form of rattler's auth file. Raise UploadError."""
    _upload(hub, channel, file, {}, {"127.0.0.1": credential})


def _upload(hub: LiveHub, channel: str, file: Path, environment: dict[str, str], credentials: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as home:
        Path(home, "auth.json").write_text(json.dumps(credentials))
        basics = {"PATH": os.environ["PATH"], "HOME": home, "NO_PROXY": "127.0.0.1"}
        done = subprocess.run(
            [sys.executable, "-c", UPLOAD, hub.url, channel, str(file)],
            env=basics | {"RATTLER_AUTH_FILE": f"{home}/auth.json"} | environment,
            capture_output=True,
            text=True,
            timeout=CLIENT_S,
            check=False,
        )
    if done.returncode:
        raise UploadError(done.stdout + done.stderr)


def github_job(issuer: FakeIssuer) -> dict[str, str]:
    """Return the environment of a GitHub Actions job with `permissions: id-token: write`."""
    return {
        "GITHUB_ACTIONS": "true",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{issuer.url}{TOKENS}?api-version=2.0",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": issuer.job_token,
    }


def gitlab_job(token: str, audience: str = "127.0.0.1") -> dict[str, str]:
    """Return the environment of a GitLab job. The name of the token's variable is derived from the audience."""
    name = "".join(letter.upper() if letter.isalnum() else "_" for letter in audience)
    return {"GITLAB_CI": "true", f"{name}_ID_TOKEN": token}
