"""The connection doctor: diagnoses a pasted key, address or command, and stores none of it."""

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_cache_control
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from channels_app import identifiers
from channels_app.access.permissions import ANONYMOUS, Actor
from channels_app.doctor import addresses, credentials
from channels_app.doctor.findings import Finding, error, info
from channels_app.models import User
from channels_app.ui.form_fields import AS_TYPED
from hub import protocols

TEXT_MAX_CHARACTERS = 4000

# Meaning and remedy by HTTP status.
STATUSES = {
    "401": (
        "401 means that no key was sent where one is needed, or that the key is not valid.",
        "Log in with one of your keys, or paste the key here to have it checked.",
    ),
    "403": (
        "403 means that the key is valid but has no permission for this, or that there is no such channel.",
        "Check the channel's name, and which channels and scopes the key is for.",
    ),
    "404": (
        "404 means that this address does not exist.",
        "Check it: files are at /CHANNEL/SUBDIR/FILE, and uploads go to {uploads}.",
    ),
    "409": (
        "409 means that the channel has another file of this name, and files never change.",
        "Raise the build number, or upload with --skip-existing.",
    ),
    "422": ("422 means that the package was refused.", "The answer's text says what is wrong with it."),
}


class DoctorForm(forms.Form):
    text = forms.CharField(
        label="What does not work",
        max_length=TEXT_MAX_CHARACTERS,
        widget=forms.Textarea(AS_TYPED | {"rows": 3}),
        help_text="A key, an address, the command that fails, or its message. The text is not stored.",
    )
    channel = forms.CharField(
        required=False,
        max_length=identifiers.CHANNEL_MAX_CHARACTERS,
        widget=forms.TextInput(AS_TYPED),
        help_text="Only if the text does not name the channel.",
    )


@sensitive_post_parameters("text")
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """Show the form and the findings. The actor is that of the session. The pasted text is never shown again."""
    session = Actor(user=request.user) if isinstance(request.user, User) else ANONYMOUS
    form = DoctorForm(request.POST if request.method == "POST" else None)
    findings = examine(form.cleaned_data["text"], form.cleaned_data["channel"], session) if form.is_valid() else []
    response = render(request, "doctor/page.html", {"form": form, "findings": findings})
    patch_cache_control(response, no_store=True, private=True)
    return response


def examine(text: str, channel: str, session: Actor) -> list[Finding]:
    """Return all findings: on addresses and options, the key, the channel, and this session."""
    found = addresses.read(text)
    findings = addresses.examine(found)
    actor: Actor | None = ANONYMOUS
    if found.secret is not None:
        finding, actor = credentials.examine(found.secret)
        findings.append(finding)
    elif found.is_prose():
        findings.append(info("The text has no key, address or command.", "Paste the failing command unchanged."))
    elif not findings or found.channel:
        findings.append(info("The text has no key.", "Clients that are logged in send their stored key."))
    if found.status:
        meaning, remedy = STATUSES[found.status]
        uploads = " or ".join(upload.address() for upload in protocols.recommended_uploads())
        findings.append(info(meaning, remedy.format(uploads=uploads)))
    name = (channel or found.channel).lower()
    if name != (channel or found.channel):
        findings.append(
            error("The channel's name has capital letters, but channel names are lower case.", f"Is it {name}?")
        )
    if name and actor:
        findings += credentials.rights(actor, name, found.needed)
    if name and session.user:
        findings.append(_session(session, name))
    return findings


def _session(session: Actor, name: str) -> Finding:
    allowed = credentials.allowed(session, name)
    return info(f"Your own permissions in {name}, signed in as {session.user}: {allowed or 'none'}.")
