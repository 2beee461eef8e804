"""Pages of a channel's imports."""

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods

from channels_app.access.permissions import Actor, Permission, page_channel
from channels_app.authentication import actors
from channels_app.models import Channel
from channels_app.ui.form_errors import shown_in
from channels_app.ui.settings_page import page
from hub.errors import HubError
from publishing.imports import imports, queries
from publishing.imports.forms import ImportForm, KeyForm
from publishing.models import Import

IMPORTS_A_PAGE = 50
REFUSED_A_PAGE = 100
FIELDS = {
    "bad_source": "source",
    "source_failed": "source",
    "bad_key_kind": "key_kind",
    "bad_source_key": "key",
    "bad_subdir": "subdirs",
    "labels_limit": "label",
}


@require_http_methods(["GET", "HEAD", "POST"])
def listing(request: HttpRequest, channel: str) -> HttpResponse:
    """List the imports; preview and start one."""
    actor = actors.actor(request)
    shown = page_channel(actor, channel, Permission.UPLOAD)
    action = request.POST.get("action", "")
    form = ImportForm(request.POST if action in ("preview", "start") else None)
    preview = None
    if form.is_valid():
        with shown_in(form, fields=FIELDS):
            if action == "start":
                job = imports.start(actor=actor, channel=shown, wanted=form.wanted())
                messages.success(request, "The import is started.")
                return redirect("channel-import", shown.name, job.pk)
            preview = imports.preview(actor=actor, channel=shown, wanted=form.wanted())
    listed = Paginator(queries.imports(shown), IMPORTS_A_PAGE).get_page(request.GET.get("page"))
    return page(request, shown, "imports", listed=listed, form=form, preview=preview)


@require_http_methods(["GET", "HEAD", "POST"])
def one(request: HttpRequest, channel: str, import_id: int) -> HttpResponse:
    """Show an import with its progress and its refused files; stop or resume it."""
    actor = actors.actor(request)
    shown = page_channel(actor, channel, Permission.UPLOAD)
    job = _import(shown, import_id)
    action = request.POST.get("action", "")
    form = KeyForm(request.POST if action == "resume" else None)
    if action == "stop":
        return _stop(request, actor, job)
    if form.is_valid():
        with shown_in(form, fields=FIELDS):
            imports.resume(actor=actor, channel=shown, import_id=job.pk, key=form.cleaned_data["key"])
            messages.success(request, "The import goes on.")
            return redirect(request.path)
    refused = Paginator(job.refused.all(), REFUSED_A_PAGE).get_page(request.GET.get("page"))
    return page(request, shown, "import", job=job, refused=refused, form=form)


def _stop(request: HttpRequest, actor: Actor, job: Import) -> HttpResponse:
    try:
        imports.stop(actor=actor, channel=job.channel, import_id=job.pk)
        messages.success(request, "The import is stopped. Its files stay.")
    except HubError as error:
        messages.error(request, error.detail)
    return redirect(request.path)


def _import(channel: Channel, import_id: int) -> Import:
    try:
        return queries.import_of(channel, import_id)
    except HubError:
        raise Http404 from None
