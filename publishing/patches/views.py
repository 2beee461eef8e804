"""The page of a channel's patches."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from channels_app.access.permissions import Actor, Permission, page_channel
from channels_app.authentication import actors
from channels_app.models import Channel
from channels_app.ui.form_errors import shown_in
from channels_app.ui.ids import found_or_404
from channels_app.ui.settings_page import page
from hub.errors import HubError
from publishing.models import Patch
from publishing.patches import imports, patches, queries
from publishing.patches.forms import ImportForm, RuleForm
from publishing.patches.patches import Outcome
from publishing.patches.previews import Preview

ENDED_SHOWN = 20
SAVED = "The patch is saved. {} are built anew, and clients get them within a minute."
IMPORTED = "The patches are imported. {} are built anew, and clients get them within a minute."
UNDONE = "The patch is undone. {} are built anew. It is in the history, and can be applied again."
APPLIED = "The patch is active again. {} are built anew."


@require_http_methods(["GET", "HEAD", "POST"])
def listing(request: HttpRequest, channel: str) -> HttpResponse:
    """List the channel's patches; add, preview, change, import, undo and apply.

    `?edit=` names the one to change, `?names=` and `?version=` the packages of a new one.
    """
    actor = actors.actor(request)
    shown = page_channel(actor, channel, Permission.MANAGE)
    action = request.POST.get("action", "") if request.method == "POST" else ""
    if action in ("undo", "apply"):
        return _undo_or_apply(request, actor, shown, action)
    edited = _patch(shown, request.GET["edit"]) if "edit" in request.GET else None
    conditions = {name: request.GET.get(name, "") for name in ("names", "version")}
    form = RuleForm(edited, request.POST if action in ("save", "preview") else None, conditions=conditions)
    import_form = _import_form(request, action)
    preview = None
    if form.is_valid():
        preview = _save(request, actor, shown, edited, form, dry_run=action == "preview")
    elif import_form.is_valid():
        preview = _import(request, actor, shown, import_form, dry_run=action == "preview-import")
    if isinstance(preview, HttpResponse):
        return preview
    context = {
        "form": form,
        "import_form": import_form,
        "edited": edited,
        "preview": preview,
        "listed": list(queries.patches(shown, is_active=True)),
        "ended": list(queries.patches(shown, is_active=False)[:ENDED_SHOWN]),
    }
    return page(request, shown, "patches", **context)


def _import_form(request: HttpRequest, action: str) -> ImportForm:
    is_sent = action in ("import", "preview-import")
    return ImportForm(request.POST if is_sent else None, request.FILES if is_sent else None, auto_id="import-%s")


def _save(
    request: HttpRequest, actor: Actor, channel: Channel, edited: Patch | None, form: RuleForm, *, dry_run: bool
) -> Preview | HttpResponse | None:
    """Return the preview, or the redirection after the rule is saved. Return None with an error in the form."""
    values: dict[str, Any] = {"actor": actor, "rule": form.rule(), "dry_run": dry_run}
    with shown_in(form):
        outcome = patches.change(patch=edited, **values) if edited else patches.add(channel=channel, **values)
        return outcome.preview if dry_run else _done(request, channel, outcome, SAVED)
    return None


def _import(
    request: HttpRequest, actor: Actor, channel: Channel, form: ImportForm, *, dry_run: bool
) -> Preview | HttpResponse | None:
    given = form.cleaned_data
    values: dict[str, Any] = {"actor": actor, "channel": channel, "subdir": given["subdir"], "dry_run": dry_run}
    with shown_in(form):
        if file := given["file"]:
            outcome = imports.import_file(file=file, source=file.name, **values)
        else:
            outcome = imports.import_artifact(path=given["artifact"].strip(), **values)
        return outcome.preview if dry_run else _done(request, channel, outcome, IMPORTED)
    return None


def _undo_or_apply(request: HttpRequest, actor: Actor, channel: Channel, action: str) -> HttpResponse:
    act: Callable[..., Outcome] = patches.undo if action == "undo" else patches.apply_again
    try:
        outcome = act(actor=actor, patch=_patch(channel, request.POST.get("patch", "")))
    except HubError as error:
        messages.error(request, error.detail)
        return redirect("channel-patches", channel.name)
    return _done(request, channel, outcome, UNDONE if action == "undo" else APPLIED)


def _done(request: HttpRequest, channel: Channel, outcome: Outcome, sentence: str) -> HttpResponse:
    count = outcome.preview.record_count
    messages.success(request, sentence.format("1 record" if count == 1 else f"{count:,} records"))
    return redirect("channel-patches", channel.name)


def _patch(channel: Channel, number: str) -> Patch:
    return found_or_404(partial(queries.patch_of, channel), number)
