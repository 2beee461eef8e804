"""Clients without a key: py-rattler and py-rattler-build with the credential of `pixi auth login --oauth`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.archives import make_conda
from tests.clients.plain import ask, seconds_until_indexed
from tests.clients.reader import Reader, ReadError
from tests.clients.signing_in import Browse, by_browser, by_device, consenting, sign_out
from tests.clients.uploader import UploadError, upload_signed_in
from tests.live import LiveHub
from tests.stack import client_hub

AT_ONCE = 4
SET_UP = """
from django.test import Client
from channels_app.channels import channels
answer = {}
for name in ("olga", "vera"):
    user = User.objects.create_user(name)
    browser = Client()
    browser.force_login(user)
    answer[name] = browser.cookies["sessionid"].value
channel = channels.create(name="closed", owner=User.objects.get(username="olga"), is_private=True)
Member.objects.create(channel=channel, user=User.objects.get(username="vera"), role="viewer")
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    with client_hub(tmp_path_factory.mktemp("oauth")) as hub:
        yield hub


@pytest.fixture(scope="module")
def people(hub: LiveHub) -> dict[str, Browse]:
    """Create Olga, owner of `closed`, and Vera, its viewer. Both accept every consent page."""
    cookies: dict[str, str] = hub.shell(SET_UP)
    return {name: consenting(cookie) for name, cookie in cookies.items()}


@pytest.fixture(scope="module")
def olga(hub: LiveHub, people: dict[str, Browse]) -> dict[str, Any]:
    """Return Olga's credential on one machine."""
    return by_device(hub.url, people["olga"])


@pytest.fixture(scope="module")
def package(hub: LiveHub, olga: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Publish a package with Olga's credential."""
    path = make_conda(tmp_path_factory.mktemp("package"), name="signed-in", files={"share/in.txt": b"in\n"})
    upload_signed_in(hub, "closed", path, olga)
    seconds_until_indexed(hub, "closed", "noarch", [path.name], olga["OAuth"]["access_token"])
    return path


def reader(hub: LiveHub, credential: dict[str, Any]) -> Reader:
    return Reader(f"{hub.url}/closed", credential)


def expired(credential: dict[str, Any]) -> dict[str, Any]:
    """Return the credential with an expired access token."""
    return {"OAuth": credential["OAuth"] | {"access_token": "x" * 86, "expires_at": 1_700_000_000}}


def test_private_channel_is_read_and_installed_from(hub: LiveHub, package: Path, olga: dict[str, Any]) -> None:
    assert reader(hub, olga).solve("signed-in") == [package.name]
    assert reader(hub, olga).install("signed-in")["share/in.txt"] == "in\n"


def test_sign_in_by_the_browser(hub: LiveHub, package: Path, people: dict[str, Browse]) -> None:
    vera = by_browser(hub.url, people["vera"])
    assert reader(hub, vera).solve("signed-in") == [package.name]


def test_upload_by_a_viewer_is_refused(hub: LiveHub, people: dict[str, Browse], tmp_path: Path) -> None:
    vera = by_device(hub.url, people["vera"])
    with pytest.raises(UploadError, match="vera may read 'closed' but not upload there"):
        upload_signed_in(hub, "closed", make_conda(tmp_path), vera)


def test_upload_refreshes_an_expired_token(hub: LiveHub, people: dict[str, Browse], tmp_path: Path) -> None:
    credential = by_device(hub.url, people["olga"])
    upload_signed_in(hub, "closed", make_conda(tmp_path, name="refreshed"), expired(credential))


def test_processes_that_refresh_at_once_all_go_on(hub: LiveHub, package: Path, people: dict[str, Browse]) -> None:
    stale = expired(by_device(hub.url, people["olga"]))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        solved = list(pool.map(lambda _: reader(hub, stale).solve("signed-in"), range(AT_ONCE)))
    assert solved == [[package.name]] * AT_ONCE


def test_token_after_signing_out_is_refused(hub: LiveHub, people: dict[str, Browse], tmp_path: Path) -> None:
    credential = by_device(hub.url, people["olga"])
    sign_out(credential)
    with pytest.raises(ReadError, match="401"):
        reader(hub, credential).solve("signed-in")
    with pytest.raises(UploadError, match="401"):
        upload_signed_in(hub, "closed", make_conda(tmp_path), credential)


def test_revoked_on_the_page_of_applications(hub: LiveHub, package: Path, people: dict[str, Browse]) -> None:
    vera = by_device(hub.url, people["vera"])
    token = vera["OAuth"]["access_token"]
    assert ask(hub, "/closed/noarch/repodata.json", token).status == 200
    hub.shell(
        "from allauth.idp.oidc.models import Client\nfrom channels_app.accounts.oauth import applications\n"
        "vera = User.objects.get(username='vera')\n"
        "applications.revoke(user=vera, client=Client.objects.get(pk='rattler'))"
    )
    assert ask(hub, "/closed/noarch/repodata.json", token).status == 401
    with pytest.raises(ReadError, match="401"):
        reader(hub, vera).solve("signed-in")
    with pytest.raises(ReadError, match="401"):
        reader(hub, expired(vera)).solve("signed-in")
