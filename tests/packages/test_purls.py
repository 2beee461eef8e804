"""Package URLs of artifacts (CEP 49)."""

import pytest
from django.test import Client

from channels_app.models import Channel, User
from channels_app.packages import purls
from tests.browsing import page
from tests.builders import make_artifact
from tests.pages import signed_in
from tests.rest.calls import by_session

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def public_url(settings: object) -> None:
    settings.HUB_PUBLIC_URL = "https://hub.example.org"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("version", "extension", "expected"),
    [
        ("1.0", ".conda", "demo/pack@1.0?build=0&checksum=sha256:{}&repository_url={}&subdir=noarch&type=conda"),
        (
            "1!2.0+a.1",
            ".tar.bz2",
            "demo/pack@1%212.0%2Ba.1?build=0&checksum=sha256:{}&repository_url={}&subdir=noarch&type=tar.bz2",
        ),
    ],
)
def test_package_url_of_a_file_has_its_place_and_checksum(
    channel: Channel, version: str, extension: str, expected: str
) -> None:
    artifact = make_artifact(channel, "pack", version, extension=extension)
    found = purls.purl(artifact)
    assert found == "pkg:conda/" + expected.format(artifact.sha256, "https%3A%2F%2Fhub.example.org")


def test_page_and_rest_api_show_the_same_package_url(channel: Channel, olga: User) -> None:
    artifact = make_artifact(channel, "pack")
    path = f"{artifact.subdir}/{artifact.file_name}"
    browser: Client = signed_in(olga)
    assert purls.purl(artifact).replace("&", "&amp;") in page(browser, f"/channels/demo/artifacts/{path}")
    assert by_session(olga).get(f"channels/demo/artifacts/{path}").json()["purl"] == purls.purl(artifact)
