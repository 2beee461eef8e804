"""Pages of a package, a version and an artifact."""

import shlex
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from channels_app.access.permissions import Actor, Permission, page_channel, permissions, visible_channels
from channels_app.authentication import actors
from channels_app.models import Artifact, Channel, ChannelKind, Package, Removal
from channels_app.packages import metadata, packages, provenance, purls, queries, versions
from channels_app.packages.versions import VersionDetail
from channels_app.ui import markdown

VERSIONS_AT_FIRST = 10
DEPENDENTS_AT_FIRST = 10
FILES_AT_FIRST = 25
# Limits with `…=all` in the query.
VERSIONS_AT_MOST = 200
DEPENDENTS_AT_MOST = 500
FILES_AT_MOST = 250


@require_safe
def package(request: HttpRequest, channel: str, name: str) -> HttpResponse:
    """Show a package: its versions, a build of the latest one, and the packages that depend on it."""
    actor = actors.actor(request)
    found = page_channel(actor, channel)
    if found.kind == ChannelKind.VIRTUAL:
        return redirect("package", _member(found, name), name)
    package = get_object_or_404(Package.objects.select_related("channel"), channel=found, name=name)
    may = permissions(actor, found)
    if found.kind == ChannelKind.UPSTREAM:
        return _upstream_package(request, package, may)
    with_deleted = Permission.DELETE in may
    existing = queries.versions(package, with_deleted=with_deleted)
    # Versions had no pages of their own once.
    if (asked := request.GET.get("version")) in existing:
        return redirect("version", found.name, package.name, asked)
    latest = package.latest_version or next(iter(existing), "")
    detail = versions.find(package, latest, with_deleted=with_deleted, build=_text(request, "build"))
    context = {
        **_install(package, package.name, detail.label if detail and not package.latest_version else ""),
        "may": may,
        "publishers": versions.publishers(queries.visible(package, with_deleted=with_deleted)),
        "downloads": queries.daily_downloads(package),
        **_versions(request, package, existing, with_deleted=with_deleted),
        **_dependents(request, actor, package),
        **(_version(detail) if detail else {}),
    }
    return render(request, "packages/package.html", context)


@require_safe
def version(request: HttpRequest, channel: str, name: str, version: str) -> HttpResponse:
    """Show a version: how to install it, one of its builds, and its files."""
    actor = actors.actor(request)
    found = page_channel(actor, channel)
    if found.kind == ChannelKind.VIRTUAL:
        return redirect("version", _member(found, name), name, version)
    package = get_object_or_404(Package.objects.select_related("channel"), channel=found, name=name)
    may = permissions(actor, found)
    if found.kind == ChannelKind.UPSTREAM:
        return _upstream_package(request, package, may, version)
    detail = versions.find(package, version, with_deleted=Permission.DELETE in may, build=_text(request, "build"))
    if detail is None:
        raise Http404
    context = {
        **_install(package, f"{package.name}=={version}", detail.label),
        "may": may,
        "changes": versions.changes_of(package, detail.build),
        "summary": packages.summary(detail.build),
        **_version(detail),
    }
    return render(request, "packages/version.html", context)


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
    files = metadata.files(artifact.files, most=FILES_AT_MOST if "files" in request.GET else FILES_AT_FIRST)
    context = {
        "channel": found,
        "artifact": artifact,
        "purl": purls.purl(artifact),
        "may": permissions(actor, found),
        "is_deleted": artifact.removal == Removal.DELETED,
        "built_at_ms": metadata.built_at_ms(artifact.index_json),
        "other_fields": metadata.other_fields(artifact.index_json),
        "documents": [
            ("info/index.json", "index.json", metadata.pretty(artifact.index_json)),
            ("info/about.json", "about.json", metadata.pretty(artifact.about_json)),
        ],
        "files": files,
        "warnings": metadata.warnings(artifact.warnings),
        "more_files": len(artifact.files) - len(files),
        **_build(artifact),
    }
    return render(request, "packages/artifact.html", context)


def _member(virtual: Channel, name: str) -> str:
    """Return the channel that brings a package to a virtual channel, or raise Http404."""
    return get_object_or_404(virtual.virtual_names, name=name).member.member.name


def _upstream_package(
    request: HttpRequest, package: Package, may: Collection[Permission], version: str = ""
) -> HttpResponse:
    """Show a package of an upstream with its records, and the files of one version."""
    spec = f"{package.name}=={version}" if version else package.name
    context = {"may": may, "version": version, "with_all": request.GET.get("versions") == "all"}
    return render(request, "upstreams/package.html", _install(package, spec, "") | context)


def _text(request: HttpRequest, name: str) -> str:
    """Return a value of the query, which may lack it."""
    return request.GET.get(name, "").replace("\0", "").strip()[:300]


def _install(package: Package, spec: str, label: str) -> dict[str, Any]:
    """Return the values of the commands that install `spec`, from the channel of a label if there is one."""
    folder = f"{package.channel}/label/{label}" if label else str(package.channel)
    return {
        "channel": package.channel,
        "package": package,
        "install_label": label,
        "address": f"{settings.HUB_PUBLIC_URL}/{folder}",
        "hub_url": settings.HUB_PUBLIC_URL,
        "spec": shlex.quote(spec),
    }


def _version(detail: VersionDetail) -> dict[str, Any]:
    """Return a version with the metadata of its selected build."""
    about = detail.build.about_json
    return {
        "detail": detail,
        "artifact": detail.build,
        "description": markdown.render(metadata.description(about)),
        "is_description_cut": len(metadata.description(about)) > markdown.MAX_CHARACTERS,
        "maintainers": metadata.maintainers(about),
        **_build(detail.build),
    }


def _versions(request: HttpRequest, package: Package, existing: list[str], *, with_deleted: bool) -> dict[str, Any]:
    """Return the matrix of the newest versions, or of all."""
    shown = existing[: VERSIONS_AT_MOST if request.GET.get("versions") == "all" else VERSIONS_AT_FIRST]
    matrix = queries.version_matrix_of(package, shown, with_deleted=with_deleted)
    return {
        "version_count": len(existing),
        "more_versions": len(existing) - len(matrix.rows),
        "matrix": matrix,
    }


def _dependents(request: HttpRequest, actor: Actor, package: Package) -> dict[str, Any]:
    """Return the packages that depend on this one, those with most downloads first."""
    text = _text(request, "dependent")
    found = queries.dependents(package, visible_channels(actor), text=text)
    most = DEPENDENTS_AT_MOST if request.GET.get("dependents") == "all" else DEPENDENTS_AT_FIRST
    return {
        "dependents": found[:most],
        "dependent_count": found.count(),
        "dependent_text": text,
        "dependents_at_most": DEPENDENTS_AT_MOST,
    }


def _build(artifact: Artifact) -> dict[str, Any]:
    """Return the metadata of one artifact that its page and the page of its version show."""
    build = provenance.of(artifact)
    specs = {key: metadata.specs(artifact.index_json.get(key)) for key in ("depends", "constrains")}
    names = (name for each in specs.values() for name, _ in each.shown)
    return {
        **specs,
        "licence": metadata.licence(artifact),
        "links": metadata.links(artifact.about_json),
        "known": queries.names_in(artifact.channel, names),
        "licences": metadata.texts(artifact.licences),
        "recipe": metadata.texts(artifact.recipe or []),
        "run_exports": metadata.run_exports(artifact.run_exports),
        "provenance": build,
        "verify_command": provenance.verify_command(artifact, build),
    }
