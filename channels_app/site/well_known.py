"""Well-known files for browsers, crawlers and password managers."""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from hub.errors import not_found

ICON = Path(settings.BASE_DIR) / "static" / "favicon.ico"
A_DAY = "public, max-age=86400"
# RFC 9116 (section 2.5.5) recommends less than a year.
SECURITY_TXT_VALID = timedelta(days=180)
# Search engines may index pages of public channels. Packages are excluded, since downloads are counted.
ROBOTS = """User-agent: *
Disallow: /account
Disallow: /admin/
Disallow: /api/
Disallow: /doctor
Disallow: /identity/
Disallow: /invitations
Disallow: /search
Disallow: /t/
Disallow: /*.conda$
Disallow: /*.tar.bz2$
Disallow: /*.zst$
Disallow: /*/repodata.json$
"""


@require_safe
def robots(_: HttpRequest) -> HttpResponse:
    """Serve `/robots.txt` (RFC 9309)."""
    return _text(ROBOTS)


@require_safe
def favicon(_: HttpRequest) -> HttpResponse:
    """Serve `/favicon.ico`, for clients that ignore the pages' link to an icon."""
    return HttpResponse(_icon(), content_type="image/x-icon", headers={"Cache-Control": A_DAY})


@require_safe
def security(_: HttpRequest) -> HttpResponse:
    """Serve `/.well-known/security.txt` (RFC 9116): the contact for security reports."""
    if not settings.HUB_SECURITY_CONTACT:
        raise not_found(
            "no_security_contact",
            "This hub names no contact for security reports. An administrator can set HUB_SECURITY_CONTACT.",
        )
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return _text(
        f"Contact: {settings.HUB_SECURITY_CONTACT}\n"
        f"Expires: {today + SECURITY_TXT_VALID:%Y-%m-%dT%H:%M:%SZ}\n"
        "Preferred-Languages: en\n"
        f"Canonical: {settings.HUB_PUBLIC_URL}/.well-known/security.txt\n"
    )


@require_safe
def change_password(_: HttpRequest) -> HttpResponse:
    """Redirect `/.well-known/change-password`, which password managers open (W3C), to the password page."""
    return redirect("account_change_password")


def _text(content: str) -> HttpResponse:
    return HttpResponse(content, content_type="text/plain; charset=utf-8", headers={"Cache-Control": A_DAY})


@cache
def _icon() -> bytes:
    return ICON.read_bytes()
