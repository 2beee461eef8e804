"""Answers to the commands of quetz-client in quetz's JSON, and refusals of acts that a key may not do.

Source: mamba-org/quetz, quetz/rest_models.py. Lists with `is_paged` have `pagination` and `result`; others are refused
if they are long. Values that the hub does not have or show are null.
"""

from collections.abc import Callable
from typing import Any, NoReturn

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from channels_app.access.permissions import ANONYMOUS, Actor, Permission, channel_for
from channels_app.authentication import actors
from channels_app.channels.queries import channel_cards
from channels_app.models import Artifact, Member, Package, Removal, User
from channels_app.packages.packages import indexed_at
from channels_app.packages.queries import HEAVY, LIGHT_MAX_CHARACTERS, find_packages, with_light_documents
from channels_app.people.member_queries import member_list
from hub.errors import bad_request, forbidden, not_found, unauthenticated
from hub.http.decorators import allow, bounds_own_body
from publishing.protocols.steps import delete_file

PAGE_MAX = 1_000
PAGE_DEFAULT = 100
READ = ("GET", "HEAD")


@csrf_exempt
@allow(*READ, "POST")
def channels(request: HttpRequest, *, is_paged: bool = False) -> JsonResponse:
    """List the channels that the caller can see; without `public`, those in which the user has a role."""
    if request.method == "POST":
        _refuse(_known(request), "create channels", "/channels/new")
    is_mine = request.GET.get("public", "true").lower() == "false"
    found = channel_cards(actors.actor(request), mine=is_mine, text=_words(request))
    return _list(request, found, _channel, is_paged=is_paged)


@csrf_exempt
@bounds_own_body
@allow(*READ, "DELETE")
def channel(request: HttpRequest, channel: str) -> JsonResponse:
    if request.method == "DELETE":
        found = channel_for(actor := _known(request), channel, Permission.READ)
        _refuse(actor, "delete channels", f"/channels/{found}/settings/danger")
    actor = actors.actor(request)
    found = channel_for(actor, channel, Permission.READ)
    return JsonResponse(_channel(channel_cards(actor).get(pk=found.pk)))


@csrf_exempt
@allow(*READ, "POST", "DELETE")
def members(request: HttpRequest, channel: str) -> JsonResponse:
    """List the members. Changes need a signed-in user."""
    if request.method not in READ:
        found = channel_for(actor := _known(request), channel, Permission.READ)
        _refuse(actor, "change members", f"/channels/{found}/settings/members")
    found = channel_for(actors.actor(request), channel, Permission.MANAGE)
    return _list(request, member_list(found), _member)


@csrf_exempt
@allow(*READ)
def packages(request: HttpRequest, channel: str, *, is_paged: bool = False) -> JsonResponse:
    """List the installable packages: by name, or the newest first for the order `latest_change`."""
    found = channel_for(actors.actor(request), channel, Permission.READ)
    order = "updated" if "latest_change" in (request.GET.get("order_by") or "") else "name"
    listed = find_packages(found, text=_words(request), subdir="", order=order, with_removed=False)
    return _list(request, listed, _package, is_paged=is_paged)


@csrf_exempt
@allow(*READ)
def versions(request: HttpRequest, channel: str, package: str, *, is_paged: bool = False) -> JsonResponse:
    """List the files of a package that are not deleted, the newest first."""
    found = _files(request, channel, package).order_by("-indexed_timestamp", "-pk")
    return _list(request, found, _version, is_paged=is_paged)


@csrf_exempt
@bounds_own_body
@allow(*READ, "DELETE")
def version(request: HttpRequest, channel: str, package: str, subdir: str, file_name: str) -> HttpResponse:
    """Describe one file, or delete it."""
    if request.method == "DELETE":
        return delete_file(request, channel, subdir, file_name, package=package)
    artifact = _files(request, channel, package).filter(subdir=subdir, file_name=file_name).first()
    if artifact is None:
        raise not_found("no_such_file", f"'{channel}' has no file '{subdir}/{file_name}' of the package '{package}'.")
    return JsonResponse(_version(artifact))


@csrf_exempt
@allow(*READ)
def me(request: HttpRequest) -> JsonResponse:
    actor = _known(request, actors.actor)
    user = _user(actor.user) if actor.user else _named("", str(actor))
    profile = user.pop("profile")
    return JsonResponse({**profile, "user": user})


@csrf_exempt
@allow(*READ)
def users(request: HttpRequest, *, is_paged: bool = False) -> JsonResponse:
    """List the caller alone, as quetz does for users without a role in the server."""
    user = _known(request, actors.actor).user
    own = User.objects.filter(pk=user.pk) if user else User.objects.none()
    found = own.filter(username__icontains=_words(request)).order_by("pk")
    return _list(request, found, _user, is_paged=is_paged)


@csrf_exempt
@allow(*READ, "PUT")
def user_role(request: HttpRequest, username: str) -> JsonResponse:
    """Return the caller's own role in the hub: `owner` for administrators, else `member`."""
    if request.method == "PUT":
        _refuse(_known(request), "change the roles of users", "/admin/")
    user = _known(request, actors.actor).user
    if user is None or user.username != username:
        raise forbidden("not_you", "A user's role in the hub is shown only to that user.")
    return JsonResponse({"role": "owner" if user.is_superuser else "member"})


def _words(request: HttpRequest) -> str:
    """Return the text to search for, without NUL characters, which PostgreSQL rejects."""
    return request.GET.get("q", "").replace("\0", " ").strip()


def _known(request: HttpRequest, authenticate: Callable[[HttpRequest], Actor] = actors.key_actor) -> Actor:
    """Return the actor. Raise 401 if no credential was sent."""
    if (actor := authenticate(request)) == ANONYMOUS:
        raise unauthenticated("credential_needed", "This needs an API key; send it as X-API-Key.")
    return actor


def _refuse(actor: Actor, act: str, page: str) -> NoReturn:
    raise forbidden(
        "person_needed", f"{actor} can't {act} with a key. Sign in and use {settings.HUB_PUBLIC_URL}{page}."
    )


def _list(
    request: HttpRequest, rows: QuerySet[Any], shown: Callable[[Any], dict[str, Any]], *, is_paged: bool = False
) -> JsonResponse:
    """Return the rows, or with `is_paged` those of the page. Raise 400 for more than PAGE_MAX rows."""
    if not is_paged:
        found = list(rows[: PAGE_MAX + 1])
        if len(found) > PAGE_MAX:
            raise bad_request("too_long", f"The list has more than {PAGE_MAX:,} entries; read it in pages.")
        return JsonResponse([shown(row) for row in found], safe=False)
    skip, limit = (_number(request, name, default) for name, default in (("skip", 0), ("limit", PAGE_DEFAULT)))
    if limit > PAGE_MAX:
        raise bad_request("bad_page", f"limit is {limit:,}; expected at most {PAGE_MAX:,}.")
    pagination = {"skip": skip, "limit": limit, "all_records_count": rows.count()}
    return JsonResponse({"pagination": pagination, "result": [shown(row) for row in rows[skip : skip + limit]]})


def _number(request: HttpRequest, name: str, default: int) -> int:
    text = request.GET.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise bad_request("bad_page", f"{name} is '{text[:20]}'; expected a whole number.")
    return int(text)


def _files(request: HttpRequest, channel: str, package: str) -> QuerySet[Artifact]:
    found = channel_for(actors.actor(request), channel, Permission.READ)
    artifacts = Artifact.objects.filter(channel=found, package__name=package).exclude(removal=Removal.DELETED)
    light = with_light_documents(artifacts, LIGHT_MAX_CHARACTERS, ["index_json"])
    return light.defer(*HEAVY).select_related("channel", "package", "uploaded_by")


def _channel(channel: Any) -> dict[str, Any]:
    return {
        "name": channel.name,
        "description": channel.description,
        "private": channel.is_private,
        "size_limit": None,
        "ttl": 0,
        "mirror_channel_url": None,
        "mirror_mode": None,
        "members_count": None,
        "packages_count": channel.package_count,
    }


def _member(member: Member) -> dict[str, Any]:
    """Return a member. A team has its name in place of the user's."""
    user = _user(member.user) if member.user else _named(f"team-{member.team_id}", str(member.team))
    return {"role": member.role, "user": user}


def _user(user: User) -> dict[str, Any]:
    return _named(str(user.pk), user.username, user.get_full_name())


def _named(identifier: str, name: str, full_name: str = "") -> dict[str, Any]:
    return {"id": identifier, "username": name, "profile": _profile(full_name or name)}


def _profile(name: str) -> dict[str, str]:
    return {"name": name, "avatar_url": ""}


def _package(package: Package) -> dict[str, Any]:
    return {
        "name": package.name,
        "summary": package.summary,
        "description": package.summary,
        "url": None,
        "platforms": package.subdirs,
        "current_version": package.latest_version,
        "latest_change": package.updated_at,
    }


def _version(artifact: Any) -> dict[str, Any]:
    """Return a file. A long `info` is left out."""
    return {
        "id": str(artifact.pk),
        "channel_name": artifact.channel.name,
        "package_name": artifact.package.name,
        "platform": artifact.subdir,
        "version": artifact.version,
        "build_string": artifact.build,
        "build_number": artifact.build_number,
        "filename": artifact.file_name,
        "info": artifact.index_json_light or {},
        "uploader": _profile(str(artifact.uploaded_by or "")),
        "time_created": indexed_at(artifact),
        "download_count": artifact.download_count,
    }
