"""Pages of API keys: a user's keys, and channel keys. A new key is shown in one response only."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_http_methods

from channels_app.access.permissions import (
    SCOPES,
    Actor,
    Permission,
    attainable_scopes,
    is_member,
    page_channel,
    permissions,
)
from channels_app.authentication import actors, api_keys
from channels_app.keys.forms import FIELD_OF, KeyForm, PersonalKeyForm
from channels_app.models import ApiKey, Channel, User
from channels_app.ui.form_errors import shown_in
from channels_app.ui.ids import stated_id
from channels_app.ui.settings_page import page, sent

Made = tuple[ApiKey, str]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def personal(request: HttpRequest) -> HttpResponse:
    """List, create and revoke the user's keys; `?revoke=` asks for confirmation.

    It accepts sessions only: a leaked key must not create others.
    """
    user = actors.person(request)
    present = user.keys.filter(revoked_at=None)
    if "revoke" in request.POST:
        _revoke(request, Actor(user=user), present)
        return redirect("account-keys")
    form, made = _personal_form(user, sent(request)), None
    if form.is_valid():
        with shown_in(form, fields=FIELD_OF):
            made = api_keys.create_user_key(owner=user, **form.arguments())
            form = _personal_form(user)
    context = _context(request, present, form, made)
    return _no_store(render(request, "account/keys.html", context))


@require_http_methods(["GET", "HEAD", "POST"])
def robots(request: HttpRequest, channel: str) -> HttpResponse:
    """List the channel keys for managers; create and revoke them for owners.

    Only signed-in users are owners.
    """
    actor = actors.actor(request)
    needed = Permission.OWN if request.method == "POST" else Permission.MANAGE
    shown = page_channel(actor, channel, needed)
    present = shown.robots.filter(revoked_at=None)
    if "revoke" in request.POST:
        _revoke(request, actor, present)
        return redirect("channel-robots", channel)
    form, made = KeyForm(present, SCOPES, sent(request)), None
    if form.is_valid():
        with shown_in(form, fields=FIELD_OF):
            made = api_keys.create_channel_key(actor=actor, channel=shown, **form.arguments())
            form = KeyForm(present, SCOPES)
    may_own = Permission.OWN in permissions(actor, shown)
    context = _context(request, present, form, made) | {"may_own": may_own}
    return _no_store(page(request, shown, "robots", **context))


def _personal_form(user: User, data: Any = None) -> PersonalKeyForm:
    channels = Channel.objects.filter(is_member(user), deleted_at=None).defer("logo").distinct()
    return PersonalKeyForm(user.keys.filter(revoked_at=None), attainable_scopes(user), channels, data)


def _context(request: HttpRequest, present: QuerySet[ApiKey], form: KeyForm, made: Made | None) -> dict[str, Any]:
    listed = list(present.prefetch_related("channels"))
    return {
        "form": form,
        "listed": listed,
        "to_confirm": next((key for key in listed if str(key.pk) == request.GET.get("revoke")), None),
        "made": made and {"key": made[0], "secret": made[1]},
    }


def _revoke(request: HttpRequest, actor: Actor, among: QuerySet[ApiKey]) -> None:
    key_id = request.POST["revoke"]
    key = get_object_or_404(among.select_related("robot_of"), pk=stated_id(key_id))
    api_keys.revoke(key=key, actor=actor)
    messages.success(request, f"The key {key.name} is revoked.")


def _no_store(response: HttpResponse) -> HttpResponse:
    patch_cache_control(response, no_store=True, private=True)
    return response
