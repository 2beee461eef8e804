"""The connection doctor: a pasted key, address or command that fails → what is wrong with it. Nothing of it is kept."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_cache_control
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from channels_app import names
from channels_app.access import ANYONE, Actor
from channels_app.doctor import addresses, clues, credentials
from channels_app.doctor.findings import Finding, info
from channels_app.forms import AS_TYPED
from channels_app.models import User

TEXT_MAX_CHARACTERS = 4000


class DoctorForm(forms.Form):
    text = forms.CharField(
        label="What does not work",
        max_length=TEXT_MAX_CHARACTERS,
        widget=forms.Textarea(AS_TYPED | {"rows": 3}),
        help_text="A key, an address, or the command that fails. It is looked at and forgotten.",
    )
    channel = forms.CharField(
        required=False,
        max_length=names.CHANNEL_MAX_CHARACTERS,
        widget=forms.TextInput(AS_TYPED),
        help_text="Which channel it is about, where the text does not name it.",
    )


@sensitive_post_parameters("text")
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """By session alone; the template never shows again what was pasted."""
    session = Actor(user=request.user) if isinstance(request.user, User) else ANYONE
    form = DoctorForm(request.POST if request.method == "POST" else None)
    findings = examine(form.cleaned_data["text"], form.cleaned_data["channel"], session) if form.is_valid() else []
    response = render(request, "doctor.html", {"form": form, "findings": findings})
    patch_cache_control(response, no_store=True, private=True)
    return response


def examine(text: str, channel: str, session: Actor) -> list[Finding]:
    """Everything that there is to say: of addresses and options, of the key, of the channel, of this browser."""
    found = clues.read(text)
    findings = addresses.examine(found)
    actor: Actor | None = ANYONE
    if found.secret is not None:
        finding, actor = credentials.examine(found.secret)
        findings.append(finding)
    elif not findings or found.channel:
        findings.append(info("No key stands in it.", "Clients that have logged in send the one that they keep."))
    name = channel or found.channel
    if name and actor:
        findings += credentials.rights(actor, name, found.needed)
    if name and session.user:
        findings.append(_session(session, name))
    return findings


def _session(session: Actor, name: str) -> Finding:
    allowed = credentials.allowed(session, name)
    return info(f"You yourself, signed in as {session.user}, may in {name}: {allowed or 'nothing'}.")
