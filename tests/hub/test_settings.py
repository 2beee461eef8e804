"""Tests of the settings: a bad value stops the start with one line that names the value and the expected ones."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.forked import run_manage
from tests.tables import MANAGE

OIDC = {
    "HUB_OIDC_PROVIDERS": "acme",
    "HUB_OIDC_ACME_URL": "https://sso.acme.example",
    "HUB_OIDC_ACME_CLIENT_ID": "hub",
    "HUB_OIDC_ACME_CLIENT_SECRET": "x",
}


def check(
    tmp_path: Path, *, command: str = "check --tag settings", **environment: str
) -> subprocess.CompletedProcess[str]:
    return run_manage(*command.split(), environment=variables(tmp_path) | environment)


def variables(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HUB_", "AWS_", "DATABASE_"))}
    return kept | {"HUB_DATA_DIR": str(tmp_path / "data")}


def test_the_default_is_sound_and_keeps_its_secret(tmp_path: Path) -> None:
    first = check(tmp_path, SECRET_KEY="")
    assert first.returncode == 0, first.stderr
    secret = tmp_path / "data" / "secret_key"
    assert len(secret.read_text()) == 64
    assert secret.stat().st_mode & 0o777 == 0o600
    key = tmp_path / "data" / "oidc_private_key.pem"
    assert key.read_text().startswith("-----BEGIN PRIVATE KEY-----")
    assert key.stat().st_mode & 0o777 == 0o600
    kept = key.read_bytes(), secret.read_bytes()
    assert check(tmp_path, SECRET_KEY="").returncode == 0
    assert kept == (key.read_bytes(), secret.read_bytes())


def test_key_of_identity_tokens_is_checked(tmp_path: Path) -> None:
    found = check(tmp_path, HUB_OIDC_PRIVATE_KEY="not a key")
    assert found.returncode != 0
    assert (
        "(hub.E004) HUB_OIDC_PRIVATE_KEY is not a readable private key; expected an RSA key in PEM format"
        in found.stderr
    )


def test_commands_of_the_hub_check_the_settings(tmp_path: Path) -> None:
    assert "(hub.E001)" in check(tmp_path, command="settings", HUB_PACKAGE_LIMITS="nonsense=1").stderr


def test_commands_of_the_hub_start_without_its_pages(tmp_path: Path) -> None:
    environment = variables(tmp_path) | {"PYTHONPROFILEIMPORTTIME": "1"}
    found = subprocess.run([*MANAGE, "settings"], env=environment, capture_output=True, text=True, check=True)
    assert "hub.commands" in found.stderr
    assert "hub.urls" not in found.stderr


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"HUB_PORT": "eighty"}, "HUB_PORT is 'eighty'; expected a whole number from 1 to 65535."),
        ({"HUB_PORT": "0"}, "HUB_PORT is '0'; expected a whole number from 1 to 65535."),
        ({"HUB_PORT": "70000"}, "HUB_PORT is '70000'; expected a whole number from 1 to 65535."),
        ({"HUB_DEBUG": "maybe"}, "HUB_DEBUG is 'maybe'; expected one of: false, true."),
        ({"HUB_STORAGE": "tape"}, "HUB_STORAGE is 'tape'; expected one of: filesystem, s3."),
        ({"HUB_DELIVERY": "pigeon"}, "HUB_DELIVERY is 'pigeon'; expected one of: stream, redirect, accel."),
        ({"HUB_RATE_LIMITS": "a=1,b=x"}, "HUB_RATE_LIMITS has 'b=x'; expected name=number,name=number,…."),
        (
            {"HUB_INTERNAL_HOSTS": "a:1,http://b:2"},
            "HUB_INTERNAL_HOSTS has 'http://b:2'; expected hosts with their ports",
        ),
        ({"HUB_UPSTREAM_STORES": "mirrors"}, "HUB_UPSTREAM_STORES has 'mirrors'; expected absolute paths"),
        ({"HUB_SIGN_UP": "closed"}, "HUB_SIGN_UP is 'closed'; expected one of: invitation, open, domains."),
        ({"HUB_SIGN_UP": "domains"}, "HUB_SIGN_UP is 'domains'; expected HUB_SIGN_UP_DOMAINS to name at least one."),
        ({"HUB_GITHUB_CLIENT_ID": "x"}, "HUB_GITHUB_CLIENT_ID and HUB_GITHUB_CLIENT_SECRET belong together;"),
        ({"HUB_OIDC_PROVIDERS": "acme"}, "and HUB_OIDC_ACME_URL, HUB_OIDC_ACME_CLIENT_ID and"),
        (OIDC | {"HUB_OIDC_PROVIDERS": "github"}, "HUB_OIDC_PROVIDERS names 'github'; expected small letters,"),
        (OIDC | {"HUB_OIDC_ACME_SIGN_UP": "yes"}, "HUB_OIDC_ACME_SIGN_UP is 'yes'; expected one of: true, false."),
        ({"HUB_PUBLIC_URL": "hub.example.org"}, "HUB_PUBLIC_URL is 'hub.example.org'; expected an origin"),
        ({"HUB_PUBLIC_URL": "https://example.org/hub"}, "expected an origin such as https://hub.example.org."),
        ({"HUB_DATA_DIR": "/dev/null/data"}, "HUB_DATA_DIR is '/dev/null/data', which can't be made: Not a directory."),
        ({"HUB_STORAGE": "s3"}, "expected AWS_STORAGE_BUCKET_NAME to name the bucket."),
    ],
)
def test_a_bad_value_is_one_line(tmp_path: Path, environment: dict[str, str], sentence: str) -> None:
    found = check(tmp_path, **environment)
    assert found.returncode != 0
    assert sentence in found.stderr
    assert "Traceback" not in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1


def test_the_variables_of_providers_are_known(tmp_path: Path) -> None:
    found = check(tmp_path, **OIDC, HUB_OIDC_ACME_TITLE="Acme", HUB_GITLAB_CLIENT_ID="x", HUB_GITLAB_CLIENT_SECRET="x")
    assert (found.returncode, found.stderr) == (0, "")
    assert "HUB_OIDC_UNI_URL is set but is no setting" in check(tmp_path, **OIDC, HUB_OIDC_UNI_URL="x").stderr


def test_a_misspelt_setting_is_a_warning(tmp_path: Path) -> None:
    found = check(tmp_path, HUB_STORGE="s3")
    assert "HUB_STORGE is set but is no setting of the hub; is it misspelt?" in found.stderr
    assert found.returncode == 0


def test_a_former_name_of_a_setting_is_read_without_a_warning(tmp_path: Path) -> None:
    found = check(tmp_path, HUB_MINTED_KEY_MINUTES="5")
    assert (found.returncode, "HUB_MINTED_KEY_MINUTES" in found.stderr) == (0, False)
    assert "HUB_SHORT_LIVED_TOKEN_MINUTES is '4'" in check(tmp_path, HUB_MINTED_KEY_MINUTES="4").stderr
    both = {"HUB_MINTED_KEY_MINUTES": "4", "HUB_SHORT_LIVED_TOKEN_MINUTES": "5"}
    assert check(tmp_path, **both).returncode == 0


def test_a_secret_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("sqlite:////dev/null/x.sqlite3")
    found = check(tmp_path, DATABASE_URL_FILE=str(tmp_path / "url"))
    assert found.returncode == 0, found.stderr
