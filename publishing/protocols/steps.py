"""The steps that protocols share: authenticate, receive and publish or delete a file, and answer in plain text."""

from dataclasses import replace

from django.http import HttpRequest, HttpResponse

from channels_app.access.permissions import Permission, channel_for
from channels_app.authentication import actors, decision_cache
from channels_app.models import Artifact, Removal
from channels_app.packages.queries import no_such_file
from channels_app.quotas import quotas
from hub.http.request_body import Body, receive
from publishing.labels import names
from publishing.removal import removal
from publishing.uploads import links
from publishing.uploads.upload import publish


def publish_body(
    request: HttpRequest,
    channel: str,
    *,
    file_name: str = "",
    subdir: str = "",
    claimed_sha256: str = "",
    form_part: str = "file",
) -> HttpResponse:
    """Publish the package of the body in `channel`. The request needs a key; cookies are ignored.

    `file_name`, `subdir` and `claimed_sha256` are those of the address, if it has them. `force` is a parameter of the
    query or a field of the form, and so is `label`, which chooses the labels. Answer 201, or 200 if the same bytes
    exist already.
    """
    to = decision_cache.upload_decision(request, channel)
    labels = names.of_query(request)
    body = Body(request)
    payer = quotas.check_room(to.channel, body.package_bytes)
    with receive(body, to.channel.upload_limit_bytes, form_part=form_part) as received:
        received = replace(
            received,
            file_name=file_name or received.file_name,
            claimed_subdir=subdir,
            claimed_sha256=claimed_sha256.strip().lower() or received.claimed_sha256,
        )
        published = publish(
            actor=to.actor,
            channel=to.channel,
            received=received,
            force="true" in (request.GET.get("force", "").lower(), received.fields.get("force", "").lower()),
            access_revision=to.access_revision,
            payer=payer,
            labels=labels or names.chosen([value for name, value in received.fields.items() if name == "label"]),
        )
    verb = "published" if published.is_new else "exists already"
    status = 201 if published.is_new else 200
    headers = links.headers(published.artifact)
    return HttpResponse(f"{published.artifact} {verb}.\n", status=status, content_type="text/plain", headers=headers)


def delete_file(request: HttpRequest, channel: str, subdir: str, file_name: str, *, package: str = "") -> HttpResponse:
    """Delete a file of `channel`, and of `package` if it is named. The key needs the scope `delete`."""
    actor = actors.key_actor(request)
    target = channel_for(actor, channel, Permission.DELETE)
    artifact = Artifact.objects.filter(channel=target, subdir=subdir, file_name=file_name).first()
    if artifact is None or package not in ("", artifact.package.name) or artifact.removal == Removal.DELETED:
        raise no_such_file(channel, subdir, file_name)
    removal.delete(actor=actor, artifact=artifact, reason="by the API")
    return HttpResponse(f"{artifact} deleted.\n", content_type="text/plain")
