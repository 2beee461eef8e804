"""Atom feeds of published artifacts, of a channel or a package. A feed has the access rules of its page."""

import re

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed
from django.utils.html import escape
from django.views.decorators.http import require_safe

from channels_app.access.permissions import page_channel
from channels_app.authentication import actors
from channels_app.models import Artifact, Channel, Package
from channels_app.packages import packages, queries

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@require_safe
def channel_feed(request: HttpRequest, channel: str) -> HttpResponse:
    found = page_channel(actors.actor(request), channel)
    return _answer(found, f"{found} on Channelhub", _address("channel", found.name))


@require_safe
def package_feed(request: HttpRequest, channel: str, name: str) -> HttpResponse:
    found = page_channel(actors.actor(request), channel)
    package = get_object_or_404(Package, channel=found, name=name)
    return _answer(found, f"{package} on Channelhub", _address("package", found.name, name), package)


def _answer(channel: Channel, title: str, address: str, package: Package | None = None) -> HttpResponse:
    feed = Atom1Feed(
        title=title,
        link=address,
        description="",
        subtitle=_xml(package.summary if package else channel.description),
        language=settings.LANGUAGE_CODE,
        author_name=channel.name,
        feed_url=f"{address}/feed",
    )
    for artifact in queries.newest_in_feed(channel, package):
        _add(feed, channel, artifact)
    response = HttpResponse(feed.writeString("utf-8"), content_type="application/atom+xml; charset=utf-8")
    response.headers["Cache-Control"] = f"{'private' if channel.is_private else 'public'}, no-cache"
    return response


def _add(feed: Atom1Feed, channel: Channel, artifact: Artifact) -> None:
    address = _address("artifact", channel.name, artifact.subdir, artifact.file_name)
    feed.add_item(
        title=f"{artifact.package.name} {artifact.version} ({artifact.subdir})",
        link=address,
        # Feed readers interpret it as HTML.
        description=escape(_xml(artifact.package.summary)),
        # A replaced file is a new entry.
        unique_id=f"{address}#{artifact.sha256}",
        updateddate=packages.indexed_at(artifact),
    )


def _xml(text: str) -> str:
    """Return `text` without the characters that XML can't hold."""
    return NOT_XML.sub("", text)


def _address(view: str, *arguments: str) -> str:
    return f"{settings.HUB_PUBLIC_URL}{reverse(view, args=arguments)}"
