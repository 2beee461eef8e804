"""Sign-in of a device without a browser (RFC 8628): it shows a code that the user confirms here."""

import json
import re
from dataclasses import dataclass
from typing import Any

from allauth.idp.oidc.forms import ConfirmCodeForm
from allauth.idp.oidc.models import Client
from allauth.idp.oidc.views import DeviceCodeView
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods, require_POST

from channels_app.accounts import allauth_internals
from channels_app.accounts.oauth import applications, scopes
from channels_app.authentication import actors
from hub.errors import bad_request

_make_code = DeviceCodeView.as_view()


@dataclass(frozen=True, slots=True)
class Device:
    """A user code's device code, client and requested scopes."""

    user_code: str
    device_code: str
    client: Client
    scopes: list[str]


@csrf_exempt
@never_cache
@require_POST
def code(request: HttpRequest) -> HttpResponse:
    """Issue a code for a device. The URL to enter it is the public URL, never the request's host."""
    if not request.content_type:
        # oauthlib would raise an exception.
        raise bad_request(
            "no_content_type", "The request has no Content-Type; expected application/x-www-form-urlencoded."
        )
    form = request.POST.copy()
    form["scope"] = scopes.granted_scopes(form.get("scope", ""), form.get("client_id", ""))
    request.POST = form  # type: ignore[assignment]
    response: HttpResponse = _make_code(request)
    if response.status_code != 200:
        return response
    answer = json.loads(response.content)
    page = settings.HUB_PUBLIC_URL + reverse("idp:oidc:device_authorization")
    urls = {"verification_uri": page, "verification_uri_complete": f"{page}?code={answer['user_code']}"}
    return JsonResponse(answer | urls)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Ask for a code. With `?code=`, show its application and ask for confirmation."""
    form = ConfirmCodeForm({"code": _dashed(request.GET["code"])} if "code" in request.GET else None)
    if not form.is_valid():
        return render(request, "oauth/device.html", {"form": form})
    requested = allauth_internals.device_scopes(form.device_code) or form.client.get_default_scopes()
    device = Device(form.cleaned_data["code"], form.device_code, form.client, requested)
    if request.method == "POST":
        return _answer(request, device)
    return _render(request, "oauth/device_confirm.html", device)


def _answer(request: HttpRequest, device: Device) -> HttpResponse:
    user = actors.person(request)
    is_confirmed = request.POST.get("action") == "confirm"
    with transaction.atomic():
        allauth_internals.answer_device(device.device_code, user, is_confirmed=is_confirmed)
        if is_confirmed:
            applications.note_grant(user=user, client=device.client, scopes=device.scopes)
    return _render(request, "oauth/device_done.html", device, is_confirmed=is_confirmed)


def _render(request: HttpRequest, template: str, device: Device, **context: Any) -> HttpResponse:
    return render(request, template, {"device": device, "rights": scopes.in_words(device.scopes), **context})


def _dashed(user_code: str) -> str:
    """Return the code as BCDF-GHJK, however it was typed; empty if it can't be one."""
    letters = re.sub("[^A-Z]", "", user_code.upper())
    return f"{letters[:4]}-{letters[4:8]}" if len(letters) == 8 else ""
