"""Probes of a bucket: signed URLs, privacy and CORS."""

import time
from typing import cast
from urllib.parse import urlsplit

import urllib3
from django.conf import settings

from hub.storage import StoreError
from hub.storage.probes import LimitError, Probe, ProbeTarget
from hub.storage.s3 import S3Store

TIMEOUT_S = 10
ADDRESS_S = 60
SHORT_ADDRESS_S = 1
# Longer than a short URL lives, plus the second in which it ends.
EXPIRED_AFTER_S = 2.5
# Headers of browsers: after a redirect to another origin, and in the preflight of a range request.
FROM_ELSEWHERE = {"Origin": "null"}
BEFORE_A_PART = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "range"}
# Conditional puts are optional: the hub lets no two uploads of one name reach the store.
NO_CONDITIONS = "the hub doesn't need them, because it reserves file names itself."


def obeys_conditions(target: ProbeTarget) -> str:
    store = _bucket(target)
    try:
        taken = [store.put_new(target.key("condition"), content) for content in (b"first", b"second")]
    except StoreError as error:
        raise LimitError(f"Conditional puts (If-None-Match) are refused ({error}); {NO_CONDITIONS}") from None
    if taken != [True, False]:
        raise LimitError(f"Conditional puts (If-None-Match) overwrite existing files; {NO_CONDITIONS}")
    return "Conditional puts (If-None-Match) work."


def signs_get(target: ProbeTarget) -> str:
    address = _address(target, "GET")
    answer = _ask("GET", address)
    _expect(answer.status == 200 and answer.data == b"0123456789", f"a signed GET was answered with {answer.status}")
    return f"Signed URLs work, if clients can reach {urlsplit(address).netloc}."


def signs_parts(target: ProbeTarget) -> str:
    answer = _ask("GET", _address(target, "GET"), {"Range": "bytes=2-4"})
    if answer.status != 206 or answer.data != b"234":
        raise LimitError(f"With redirects no client can resume a download: a range got {answer.status}; expected 206.")
    return "Signed URLs work for ranges."


def signs_head(target: ProbeTarget) -> str:
    answer = _ask("HEAD", _address(target, "HEAD"))
    _expect(answer.status == 200, f"a signed HEAD was answered with {answer.status}")
    _expect(answer.headers.get("Content-Length") == "10", "a signed HEAD was answered without the file's size")
    return "Signed URLs work for HEAD."


def needs_signature(target: ProbeTarget) -> str:
    """Probe that a URL with a changed signature is refused."""
    address = _address(target, "GET")
    forged = address[:-1] + ("0" if address[-1] != "0" else "1")
    if _ask("GET", forged).status < 400:
        raise LimitError("A signed URL works with a forged signature: anyone could read private packages.")
    return "A forged signature is refused."


def ends(target: ProbeTarget) -> str:
    address = _address(target, "GET", SHORT_ADDRESS_S)
    time.sleep(EXPIRED_AFTER_S)
    if _ask("GET", address).status < 400:
        raise LimitError(
            f"A signed URL still works {EXPIRED_AFTER_S - SHORT_ADDRESS_S} s after it expired: with redirects, people "
            "keep access after it is revoked."
        )
    return "Signed URLs expire on time."


def hides_files(target: ProbeTarget) -> str:
    if _ask("GET", _bucket(target).unsigned_urls(target.key("small"))[0]).status < 400:
        raise LimitError(
            "Anyone can read the bucket without credentials: private channels are not private. Block public access "
            "unless all channels are public."
        )
    return "The bucket can't be read without credentials."


def hides_its_list(target: ProbeTarget) -> str:
    if _ask("GET", _bucket(target).unsigned_urls(target.key("small"))[1]).status < 400:
        raise LimitError(
            "Anyone can list the bucket without credentials, including names of private channels and packages."
        )
    return "The bucket can't be listed without credentials."


def allows_origins(target: ProbeTarget) -> str:
    """Probe that pages of any origin may read redirected packages."""
    if settings.HUB_DELIVERY != "redirect":
        return "Pages of other origins get packages from the hub, not from the bucket."
    address = _address(target, "GET")
    answers = [_ask("OPTIONS", address, FROM_ELSEWHERE | BEFORE_A_PART), _ask("GET", address, FROM_ELSEWHERE)]
    if not all(each.status < 300 and each.headers.get("Access-Control-Allow-Origin") == "*" for each in answers):
        raise LimitError(
            "The bucket has no CORS rule for every origin: programs in browsers, such as JupyterLite, can't read "
            "packages of public channels. docs/storage.md has the rule."
        )
    return "Pages of other origins may read packages of public channels."


PROBES: dict[str, Probe] = {
    "conditional put": obeys_conditions,
    "signed GET": signs_get,
    "signed range": signs_parts,
    "signed HEAD": signs_head,
    "signature": needs_signature,
    "expiry": ends,
    "other origins": allows_origins,
    "private": hides_files,
    "private list": hides_its_list,
}


def _bucket(target: ProbeTarget) -> S3Store:
    return cast(S3Store, target.store)


def _address(target: ProbeTarget, method: str, expires_s: int = ADDRESS_S) -> str:
    address = target.store.url(target.key("small"), method=method, expires_s=expires_s, file_name="small")
    if address is None:
        raise _no_redirects("the store does not sign URLs")
    return address


def _expect(works: bool, found: str) -> None:
    if not works:
        raise _no_redirects(found)


def _no_redirects(found: str) -> Exception:
    """Return the error for failed redirects: a limit if HUB_DELIVERY is `stream`, else broken."""
    if settings.HUB_DELIVERY == "stream":
        return LimitError(f"Redirect delivery will not work: {found}. Leave HUB_DELIVERY at stream.")
    return StoreError(f"HUB_DELIVERY is {settings.HUB_DELIVERY}, and {found}. Set HUB_DELIVERY to stream.")


def _ask(method: str, address: str, headers: dict[str, str] | None = None) -> urllib3.BaseHTTPResponse:
    try:
        return urllib3.request(method, address, headers=headers, timeout=TIMEOUT_S, retries=False, redirect=False)
    except urllib3.exceptions.HTTPError as error:
        raise StoreError(f"The store could not be reached without credentials: {type(error).__name__}.") from None
