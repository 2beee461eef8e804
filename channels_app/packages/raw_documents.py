"""Downloads of an artifact's complete metadata documents, of which its page shows the beginning."""

from collections.abc import Iterator

import zstandard
from django.db.models import TextField, Value
from django.db.models.functions import Cast, Coalesce
from django.http import Http404, HttpRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe

from channels_app.access.permissions import page_channel
from channels_app.authentication import actors
from channels_app.models import AboutDocument, Artifact
from hub.sizes import KIB

# Name in the URL → column, which is read as text, not parsed.
COLUMNS = {
    "index.json": "index_json",
    "about.json": "about_json",
    "run_exports.json": "run_exports",
    "files.json": "files",
    "licences.json": "licences",
    "recipe.json": "recipe",
}
CHUNK = 64 * KIB


@require_safe
def document(request: HttpRequest, channel: str, subdir: str, file_name: str, document: str) -> StreamingHttpResponse:
    """Serve a document as an attachment. It has the access rules of the artifact's page."""
    found = page_channel(actors.actor(request), channel)
    if document not in COLUMNS:
        raise Http404
    artifacts = Artifact.objects.filter(channel=found, subdir=subdir, file_name=file_name)
    pk = get_object_or_404(artifacts.only("pk")).pk
    whole = AboutDocument.objects.filter(artifact_id=pk).first() if document == "about.json" else None
    chunks = _unpacked(bytes(whole.body)) if whole else _column(pk, COLUMNS[document])
    headers = {
        "Content-Disposition": f'attachment; filename="{document}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": f"{'private' if found.is_private else 'public'}, no-cache",
    }
    return StreamingHttpResponse(chunks, content_type="application/json", headers=headers)


def _column(pk: int, name: str) -> Iterator[bytes]:
    column = Coalesce(Cast(name, TextField()), Value("[]", TextField()))
    text: str = Artifact.objects.annotate(text=column).values_list("text", flat=True).get(pk=pk)
    return (text[start : start + CHUNK].encode() for start in range(0, len(text), CHUNK))


def _unpacked(body: bytes) -> Iterator[bytes]:
    """Yield the decompressed document in chunks, so that only one chunk is in memory."""
    with zstandard.ZstdDecompressor().stream_reader(body) as reader:
        while chunk := reader.read(CHUNK):
            yield chunk
