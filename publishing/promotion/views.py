"""The page on which files are promoted, and the pages of a channel's promotions."""

from collections.abc import Sequence

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.template.defaultfilters import pluralize
from django.views.decorators.http import require_http_methods, require_safe

from channels_app.access.permissions import Actor, Permission, channel_for, page_channel, permissions
from channels_app.accounts import reauthentication
from channels_app.authentication import actors
from channels_app.models import Artifact, Channel
from channels_app.packages.queries import LISTED, find_artifacts
from channels_app.ui.form_errors import shown_in
from channels_app.ui.settings_page import page
from hub.errors import HubError
from hub.http.middleware import is_number_up_to
from publishing.models import PUBLISHED, PromotedFileChange, Promotion, PromotionState
from publishing.promotion import approvals, plan, promotions, queries, rollback
from publishing.promotion.forms import FilesForm, PromoteForm, ReasonForm
from publishing.promotion.plan import PlannedFile, Wanted
from publishing.removal.removal import SELECTION_MAX

ID_MAX = 2**63 - 1
PROMOTIONS_A_PAGE = 50
DONE = {
    "approve": "The promotion is approved. The index follows in a moment.",
    "refuse": "The promotion is refused. Nothing was changed in either channel.",
    "rollback": "The promotion is rolled back. The index follows in a moment.",
}


@require_http_methods(["GET", "HEAD", "POST"])
def promote(request: HttpRequest, channel: str) -> HttpResponse:
    """Preview a promotion of files of the channel, or do it.

    The files are named by their ids in `file`, or by conditions. A POST without `action` only shows the form.
    """
    actor = actors.actor(request)
    if actor.user is None:
        return redirect_to_login(request.get_full_path())
    source = page_channel(actor, channel)
    sent = request.POST if request.method == "POST" else request.GET
    finder = FilesForm(sent)
    selection = _selected(source, sent, finder)
    action = request.POST.get("action", "")
    may_move = Permission.DELETE in permissions(actor, source)
    targets = queries.targets(actor, source)
    form = PromoteForm(source, targets, may_move=may_move, data=request.POST if action else None)
    planned: Sequence[PlannedFile] = ()
    if form.is_valid():
        wanted = _wanted(request, actor, source, form)
        if action == "promote" and (promotion := _promote(request, wanted, selection, form)):
            return redirect("channel-promotion", promotion.target.name, promotion.pk)
        planned = _preview(wanted, selection, form)
    context = {
        "channel": source,
        "finder": finder,
        "form": form,
        "has_targets": bool(targets),
        "files": list(selection.order_by("subdir", "file_name")[: SELECTION_MAX + 1]),
        "files_max": SELECTION_MAX,
        "promoted": (promoted := [each for each in planned if not each.refusal]),
        "left": [each for each in planned if each.refusal],
        "fingerprint": plan.fingerprint(promoted),
    }
    return render(request, "promotion/promote.html", context, status=422 if form.errors else 200)


@require_safe
def listing(request: HttpRequest, channel: str) -> HttpResponse:
    """List the promotions to the channel."""
    actor = actors.actor(request)
    target = page_channel(actor, channel, Permission.UPLOAD)
    listed = Paginator(queries.promotions(target, actor), PROMOTIONS_A_PAGE).get_page(request.GET.get("page"))
    return page(request, target, "promotions", listed=listed)


@require_http_methods(["GET", "HEAD", "POST"])
def one(request: HttpRequest, channel: str, promotion_id: int) -> HttpResponse:
    """Show a promotion with its files; approve, refuse or roll it back."""
    actor = actors.actor(request)
    action = request.POST.get("action", "")
    target = page_channel(actor, channel, Permission.DELETE if action == "rollback" else Permission.UPLOAD)
    promotion = _promotion(target, promotion_id, actor)
    form = ReasonForm(request.POST if action in DONE else None)
    if form.is_valid():
        with shown_in(form):
            _decide(request, actor, promotion, form.cleaned_data["reason"])
            messages.success(request, DONE[action])
            return redirect(request.path)
        promotion = _promotion(target, promotion_id, actor)
    files = promotion.files.order_by("subdir", "file_name")
    is_waiting = promotion.state == PromotionState.WAITING
    context = {
        "promotion": promotion,
        "files": files,
        "published": [file for file in files if file.change in PUBLISHED],
        "labeled": [file for file in files if file.change == PromotedFileChange.LABELED],
        "form": form,
        "may_approve": is_waiting and approvals.may_decide(actor, promotion),
        "may_withdraw": is_waiting and approvals.is_own(actor, promotion),
    }
    return page(request, target, "promotion", **context)


def _decide(request: HttpRequest, actor: Actor, promotion: Promotion, reason: str) -> None:
    match request.POST["action"]:
        case "approve":
            may_restore = not reauthentication.is_missing(request)
            approvals.approve(actor=actor, promotion=promotion, may_restore=may_restore)
        case "refuse":
            approvals.refuse(actor=actor, promotion=promotion, reason=reason)
        case "rollback":
            rollback.roll_back(actor=actor, promotion=promotion, reason=reason)


def _promotion(target: Channel, promotion_id: int, actor: Actor) -> Promotion:
    try:
        return queries.promotion_of(target, promotion_id, actor)
    except HubError:
        raise Http404 from None


def _selected(source: Channel, sent: QueryDict, finder: FilesForm) -> QuerySet[Artifact]:
    """Select the files in the index with the sent ids or, without ids, those that have all of the conditions."""
    listed = find_artifacts(source).filter(LISTED)
    if "file" in sent:
        return listed.filter(pk__in={int(text) for text in sent.getlist("file") if is_number_up_to(text, ID_MAX)})
    conditions = finder.cleaned_data if finder.is_valid() else {}
    return find_artifacts(source, **conditions).filter(LISTED) if any(conditions.values()) else listed.none()


def _wanted(request: HttpRequest, actor: Actor, source: Channel, form: PromoteForm) -> Wanted | None:
    may_restore = not reauthentication.is_missing(request)
    with shown_in(form, "target"):
        target = channel_for(actor, form.cleaned_data["target"], Permission.UPLOAD)
        label = form.cleaned_data["label"]
        return Wanted(actor, source, target, may_restore=may_restore, label=label, **form.flags())
    return None


def _preview(wanted: Wanted | None, selection: QuerySet[Artifact], form: PromoteForm) -> list[PlannedFile]:
    try:
        return promotions.preview(wanted=wanted, selection=selection) if wanted else []
    except HubError as error:
        if not form.errors:
            form.add_error(None, error.detail)
        return []


def _promote(
    request: HttpRequest, wanted: Wanted | None, selection: QuerySet[Artifact], form: PromoteForm
) -> Promotion | None:
    """Promote the files of the preview. Return None, with an error in the form, if that is not possible."""
    if wanted is None:
        return None
    expected, reason = request.POST.get("fingerprint") or "of no preview", form.cleaned_data["reason"]
    with shown_in(form):
        promotion = promotions.promote(wanted=wanted, selection=selection, reason=reason, expected=expected)
        count = promotion.files.count()
        files = f"{count} file{pluralize(count, ' is,s are')}"
        follows = "The index follows in a moment."
        if promotion.state == PromotionState.WAITING:
            files, follows = f"{count} file{pluralize(count)} will be", "A second person has to approve it."
        elif promotion.state == PromotionState.RUNNING:
            files, follows = f"{count} file{pluralize(count)} will be", "The hub was interrupted and goes on by itself."
        promoted = f"{files} promoted to {wanted.target}. {follows}"
        messages.success(request, promoted if count else f"{wanted.target} has these files already.")
        return promotion
    return None
