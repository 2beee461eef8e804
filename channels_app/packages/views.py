"""Pages of a channel, a package and an artifact, and a channel's logo."""

import hashlib
from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.utils.cache import get_conditional_response, patch_vary_headers
from django.views.decorators.http import require_safe

from channels_app.access.permissions import Permission, page_channel, permissions
from channels_app.authentication import actors
from channels_app.models import Artifact, Channel, Package, Removal
from channels_app.packages import metadata, provenance, queries
from channels_app.ui import markdown
from hub.http.middleware import CREDENTIAL_HEADERS

PACKAGES_A_PAGE = 50
VERSIONS_AT_FIRST = 20
DEPENDENTS_AT_FIRST = 30
FILES_AT_FIRST = 25
# Limits with `…=all` in the query.
VERSIONS_AT_MOST = 200
DEPENDENTS_AT_MOST = 500
FILES_AT_MOST = 250
BUILDS_AT_MOST = 200
LOGO_CACHING_S = 300


@require_safe
def channel(request: HttpRequest, channel: str) -> HttpResponse:
    """Show a channel and its packages."""
    actor = actors.actor(request)
    found = page_channel(actor, channel)
    may = permissions(actor, found)
    counts = queries.channel_counts(found)
    filters = _filters(request, counts["subdirs"])
    packages = queries.find_packages(found, **filters, with_removed=Permission.DELETE in may)
    context = {
        "channel": found,
        "may": may,
        "counts": counts,
        "filters": filters,
        "is_narrowed": bool(filters["text"] or filters["subdir"]),
        "page": Paginator(packages, PACKAGES_A_PAGE).get_page(request.GET.get("page")),
        "public_url": settings.HUB_PUBLIC_URL,
    }
    return render(request, "channels/channel.html", context)


@require_safe
def package(request: HttpRequest, channel: str, name: str) -> HttpResponse:
    """Show a package: its latest version, and all others."""
    actor = actors.actor(request)
    found = page_channel(actor, channel)
    package = get_object_or_404(Package.objects.select_related("channel"), channel=found, name=name)
    may = permissions(actor, found)
    newest = queries.newest_artifacts(package)
    context = {
        "channel": found,
        "package": package,
        "may": may,
        "address": f"{settings.HUB_PUBLIC_URL}/{found}",
        "hub_url": settings.HUB_PUBLIC_URL,
        "newest": newest[0] if newest else None,
        "downloads": queries.daily_downloads(package),
        **_latest(newest),
        **_versions(request, package, with_deleted=Permission.DELETE in may),
        **_dependencies(request, package, newest),
    }
    return render(request, "packages/package.html", context)


@require_safe
def artifact(request: HttpRequest, channel: str, subdir: str, file_name: str) -> HttpResponse:
    """Show an artifact with all its metadata."""
    actor = actors.actor(request)
    found = page_channel(actor, channel)
    artifacts = Artifact.objects.select_related("channel", "package", "uploaded_by", "uploaded_with", "removed_by")
    artifact = get_object_or_404(
        queries.with_light_documents(artifacts, queries.SHOWN_MAX_CHARACTERS),
        channel=found,
        subdir=subdir,
        file_name=file_name,
    )
    queries.show_documents(artifact)
    build = provenance.of(artifact)
    files = metadata.files(artifact.files, most=FILES_AT_MOST if "files" in request.GET else FILES_AT_FIRST)
    context = {
        "channel": found,
        "artifact": artifact,
        "may": permissions(actor, found),
        "is_deleted": artifact.removal == Removal.DELETED,
        "licence": metadata.licence(artifact),
        "links": metadata.links(artifact.about_json),
        "built_at_ms": metadata.built_at_ms(artifact.index_json),
        "other_fields": metadata.other_fields(artifact.index_json),
        "documents": [
            ("info/index.json", "index.json", metadata.pretty(artifact.index_json)),
            ("info/about.json", "about.json", metadata.pretty(artifact.about_json)),
        ],
        "files": files,
        "licences": metadata.licences(artifact.licences),
        "warnings": metadata.warnings(artifact.warnings),
        "run_exports": metadata.run_exports(artifact.run_exports),
        "more_files": len(artifact.files) - len(files),
        "provenance": build,
        "verify_command": provenance.verify_command(artifact, build),
        **_specs(found, artifact),
    }
    return render(request, "packages/artifact.html", context)


@require_safe
def logo(request: HttpRequest, channel: str) -> HttpResponseBase:
    """Serve the logo that an owner uploaded."""
    found = page_channel(actors.actor(request), channel)
    if not found.logo:
        raise Http404
    content = bytes(found.logo)
    etag = f'"{hashlib.sha256(content).hexdigest()}"'
    response = HttpResponse(content, content_type="image/png", headers={"ETag": etag})
    response.headers["Cache-Control"] = f"{'private' if found.is_private else 'public'}, max-age={LOGO_CACHING_S}"
    patch_vary_headers(response, [*CREDENTIAL_HEADERS, "Cookie"])
    return get_conditional_response(request, etag=etag, response=response) or response


def _filters(request: HttpRequest, subdirs: Iterable[str]) -> dict[str, str]:
    """Return the reader's filters; invalid values are ignored."""
    subdir, order = request.GET.get("platform", ""), request.GET.get("order", "")
    return {
        "text": request.GET.get("q", "").replace("\0", "").strip()[:200],
        "subdir": subdir if subdir in subdirs else "",
        "order": order if order in queries.ORDERS else "updated",
    }


def _latest(newest: list[Artifact]) -> dict[str, Any]:
    """Return the metadata of the latest version's newest build."""
    if not newest:
        return {}
    about = newest[0].about_json
    return {
        "licence": metadata.licence(newest[0]),
        "links": metadata.links(about),
        "description": markdown.render(metadata.description(about)),
        "run_exports": metadata.run_exports(newest[0].run_exports),
    }


def _versions(request: HttpRequest, package: Package, *, with_deleted: bool) -> dict[str, Any]:
    """Return the matrix of the newest versions, or of all, and the files of the selected version."""
    versions = queries.versions(package, with_deleted=with_deleted)
    shown = versions[: VERSIONS_AT_MOST if request.GET.get("versions") == "all" else VERSIONS_AT_FIRST]
    matrix = queries.version_matrix_of(package, shown, with_deleted=with_deleted)
    chosen = request.GET.get("version", "")
    if chosen not in versions:
        chosen = package.latest_version or next(iter(versions), "")
    return {
        "version_count": len(versions),
        "more_versions": len(versions) - len(matrix.rows),
        "matrix": matrix,
        "opened": "".join(f"{name}=all&" for name in ("versions", "dependents") if request.GET.get(name) == "all"),
        "chosen": chosen,
        "files": queries.files(package, chosen, with_deleted=with_deleted)[:BUILDS_AT_MOST],
    }


def _dependencies(request: HttpRequest, package: Package, newest: list[Artifact]) -> dict[str, Any]:
    dependencies = metadata.dependencies(newest)
    dependents = list(queries.dependents(package))
    shown = dependents[: DEPENDENTS_AT_MOST if request.GET.get("dependents") == "all" else DEPENDENTS_AT_FIRST]
    return {
        "dependencies": dependencies,
        "known": queries.names_in(package.channel, (each.name for each in dependencies.shown)),
        "dependents": shown,
        "dependents_at_most": DEPENDENTS_AT_MOST,
        "dependent_count": len(dependents),
        "more_dependents": len(dependents) - len(shown),
    }


def _specs(channel: Channel, artifact: Artifact) -> dict[str, Any]:
    """Return the artifact's match specs, and those of their names that are in the channel."""
    lists = {
        "depends": metadata.specs(artifact.index_json.get("depends")),
        "constrains": metadata.specs(artifact.index_json.get("constrains")),
    }
    names = (name for specs in lists.values() for name, _ in specs.shown)
    return {**lists, "known": queries.names_in(channel, names)}
