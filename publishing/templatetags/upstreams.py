"""Template tags of upstream channels."""

from collections.abc import Collection
from typing import Any

from django import template
from django.http import Http404

from channels_app.models import Channel, Package
from channels_app.packages.package_views import FILES_AT_MOST, VERSIONS_AT_FIRST, VERSIONS_AT_MOST
from publishing.models import UpstreamName
from publishing.upstreams import browsing, queries, upstreams
from publishing.upstreams.queries import HiddenRecord
from publishing.upstreams.store_transport import is_place

RECORDS_SHOWN = 50

register = template.Library()


@register.inclusion_tag("upstreams/state.html")
def upstream_state(channel: Channel, may: Collection[str]) -> dict[str, object]:
    """Show where the packages of a channel come from, and how it is up to date."""
    upstream = upstreams.of(channel)
    # Names of folders and buckets are for those who manage the channel.
    is_shown = "manage" in may or not is_place(upstream.url)
    source = upstream.url if is_shown else "files that the hub reads"
    return {"channel": channel, "upstream": upstream, "source": source, "counts": queries.counts(channel), "may": may}


@register.inclusion_tag("upstreams/records.html", takes_context=True)
def upstream_records(context: dict[str, Any], package: Package, version: str, *, with_all: bool) -> dict[str, object]:
    """Show how to install a name, its versions, and the files of one; by default of the newest that is listed.

    Raise Http404 for a version without files.
    """
    channel = package.channel
    found = browsing.records(channel, package.name)
    versions = browsing.versions(found)
    shown = version or package.latest_version or (versions[0].version if versions else "")
    files = [each for each in found if each.version == shown]
    if version and not files:
        raise Http404
    return {
        **{key: context[key] for key in ("channel", "package", "address", "hub_url", "spec", "may")},
        "is_installable": any(each.state == browsing.LISTED for each in files),
        "versions": versions[: VERSIONS_AT_MOST if with_all else VERSIONS_AT_FIRST],
        "version_count": len(versions),
        "has_more": len(versions) > VERSIONS_AT_FIRST and not with_all,
        "version": shown,
        "files": browsing.with_cached(channel, files[:FILES_AT_MOST]),
        "file_count": len(files),
    }


@register.filter
def hidden_records(row: UpstreamName) -> list[HiddenRecord]:
    return queries.hidden_records(row)[:RECORDS_SHOWN]
