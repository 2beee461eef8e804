"""The page of a channel's retention rules."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from channels_app.access.permissions import Actor, Permission, page_channel
from channels_app.authentication import actors
from channels_app.models import Channel, RetentionRule
from channels_app.ui.form_errors import shown_in
from channels_app.ui.ids import found_or_404
from channels_app.ui.settings_page import page
from hub.errors import HubError
from publishing.nights import next_night
from publishing.retention import queries, retention
from publishing.retention.forms import RuleForm
from publishing.retention.retention import Plan

SHOWN_MAX = 500
ADDED = "The rule is added. The next night applies it."
CHANGED = "The rule is changed. The next night applies it."
REMOVED = "The rule is removed. Files that it has yanked stay yanked."


@require_http_methods(["GET", "HEAD", "POST"])
def listing(request: HttpRequest, channel: str) -> HttpResponse:
    """List the rules; preview, save and remove one. `?edit=` shows one to change, `?plan` the next night."""
    actor = actors.actor(request)
    shown = page_channel(actor, channel, Permission.MANAGE)
    number = request.POST.get("rule") or request.GET.get("edit")
    edited = _row(shown, number) if number else None
    action = request.POST.get("action", "")
    if edited and action == "remove":
        return _remove(request, actor, edited)
    form = RuleForm(edited, request.POST if action in ("preview", "save") else None)
    plan = retention.planned(actor, shown) if "plan" in request.GET and not action else None
    if form.is_valid():
        with shown_in(form):
            if action == "save":
                return _save(request, actor, shown, form, edited)
            plan = retention.dry_run(actor=actor, channel=shown, rule=form.rule())
    context = {"form": form, "edited": edited, "listed": _listed(shown), "at": next_night()}
    return page(request, shown, "retention", **context, **_shown(plan))


def _save(
    request: HttpRequest, actor: Actor, channel: Channel, form: RuleForm, edited: RetentionRule | None
) -> HttpResponse:
    save = retention.change if edited else retention.add
    save(actor=actor, channel=channel, rule=form.rule())
    messages.success(request, CHANGED if edited else ADDED)
    return redirect("channel-retention", channel.name)


def _remove(request: HttpRequest, actor: Actor, row: RetentionRule) -> HttpResponse:
    try:
        retention.remove(actor=actor, channel=row.channel, rule_id=row.pk)
        messages.success(request, REMOVED)
    except HubError as error:
        messages.error(request, error.detail)
    return redirect("channel-retention", row.channel.name)


def _listed(channel: Channel) -> Sequence[dict[str, Any]]:
    return [{"row": row, "conditions": queries.as_rule(row).conditions()} for row in queries.stored(channel)]


def _shown(plan: Plan | None) -> dict[str, Any]:
    """Return the plan with the first of its files."""
    if plan is None:
        return {}
    return {"plan": plan, "choices": plan.choices[:SHOWN_MAX], "more": max(0, len(plan.choices) - SHOWN_MAX)}


def _row(channel: Channel, number: str) -> RetentionRule:
    return found_or_404(partial(queries.rule_of, channel), number)
