"""Logos: which images are accepted, and the endpoints that set and remove them."""

from io import BytesIO

import pytest
from PIL import Image

from channels_app.channels import logos
from channels_app.models import Channel, User
from hub.errors import HubError
from tests.builders import picture
from tests.rest.calls import Caller, by_key, by_session, code

LOGO = "channels/demo/logo"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_uploaded_logo_becomes_a_square_png(kind: str) -> None:
    with Image.open(BytesIO(logos.encode(BytesIO(picture(kind))))) as logo:
        assert (logo.format, logo.size) == ("PNG", (128, 128))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (BytesIO(b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>"), "expected PNG, JPEG, WebP or GIF"),
        (BytesIO(b""), "can't be read as a picture"),
        (BytesIO(picture()[:100]), "can't be read as a picture"),
        (BytesIO(b"x" * 300_000), "larger than 256 KiB"),
        (BytesIO(picture("PNG", (5000, 1000))), "5000 by 1000 pixels"),
        (BytesIO(picture("BMP", (9, 9))), "can't be read as a picture"),
    ],
)
def test_bad_logo_is_refused(content: BytesIO, sentence: str) -> None:
    with pytest.raises(HubError, match=sentence):
        logos.encode(content)


def test_jpeg_with_many_scans_is_refused() -> None:
    """An empty scan is 14 bytes that cost a pass over all pixels: 250 KiB of them took minutes."""
    image = BytesIO()
    Image.new("RGB", (64, 64)).save(image, "JPEG", progressive=True)
    content = image.getvalue()
    logos.encode(BytesIO(content))
    last_scan = content[content.rindex(b"\xff\xda") : -2]
    with pytest.raises(HubError, match="more than 64 scans"):
        logos.encode(BytesIO(content[:-2] + last_scan * 64 + content[-2:]))


def set_logo(caller: Caller, content: bytes, content_type: str = "image/png") -> int:
    answer = caller.client.put(f"/api/v1/{LOGO}", content, content_type=content_type)
    return answer.status_code if answer.status_code < 400 else code(answer)[0]


@pytest.mark.django_db
@pytest.mark.parametrize("content_type", ["image/png", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_logo_is_set_shown_and_removed_by_the_api(channel: Channel, olga: User, content_type: str) -> None:
    for caller in (by_session(olga), by_key(olga, "read", "manage")):
        assert caller.get("channels/demo").json()["logo_url"] is None
        assert set_logo(caller, picture(), content_type) == 204
        url = caller.get("channels/demo").json()["logo_url"]
        with Image.open(BytesIO(caller.client.get(url).content)) as logo:
            assert (logo.format, logo.size) == ("PNG", (128, 128))
        assert caller.delete(LOGO).status_code == 204
        assert caller.client.get(url).status_code == 404


@pytest.mark.django_db
def test_logo_that_is_no_image_keeps_the_old_one(channel: Channel, olga: User) -> None:
    caller = by_session(olga)
    set_logo(caller, picture())
    before = Channel.objects.get().logo
    answer = caller.client.put(f"/api/v1/{LOGO}", b"<svg/>", content_type="image/svg+xml")
    assert code(answer) == (400, "bad_logo")
    assert Channel.objects.get().logo == before


@pytest.mark.django_db
def test_logo_needs_the_right_to_manage(channel: Channel, olga: User) -> None:
    assert set_logo(by_key(olga, "read", "upload"), picture()) == 403
    assert set_logo(by_session(olga, is_fresh=False), picture()) == 403
