"""Logos: an uploaded image is decoded and encoded again, so that only the hub's own PNG is served."""

from io import BytesIO
from typing import IO

from PIL import Image, ImageOps, UnidentifiedImageError

from hub.errors import HubError, bad_request
from hub.sizes import KIB, human_size

UPLOAD_MAX_BYTES = 256 * KIB
MAX_PIXELS = 4_000_000
SIZE_PIXELS = 128
# A progressive JPEG has about ten scans. Each one costs a pass over all pixels, but only 14 bytes.
JPEG_SCANS_MAX = 64
JPEG_SCAN = b"\xff\xda"
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")


def encode(file: IO[bytes]) -> bytes:
    """Return the image in `file` as a square PNG of 128 pixels. SVG is refused, since it can contain scripts."""
    content = file.read(UPLOAD_MAX_BYTES + 1)
    if len(content) > UPLOAD_MAX_BYTES:
        raise _refusal(f"The logo is larger than {human_size(UPLOAD_MAX_BYTES)}; make it smaller.")
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise _refusal(f"The logo has {picture.width} by {picture.height} pixels; the maximum is 4 million.")
            if picture.format in ("JPEG", "MPO") and content.count(JPEG_SCAN) > JPEG_SCANS_MAX:
                raise _refusal(f"The logo is a JPEG with more than {JPEG_SCANS_MAX} scans; save it again as a PNG.")
            square = ImageOps.fit(picture.convert("RGBA"), (SIZE_PIXELS, SIZE_PIXELS))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise _refusal("The logo can't be read as a picture; expected PNG, JPEG, WebP or GIF.") from None
    encoded = BytesIO()
    square.save(encoded, "PNG", optimize=True)
    return encoded.getvalue()


def _refusal(sentence: str) -> HubError:
    return bad_request("bad_logo", sentence)
