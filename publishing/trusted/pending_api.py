"""`/api/v1/pending-publishers`: publishers for channels that their first use creates. All of it requires a session."""

from datetime import datetime
from typing import Annotated, Any

from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from ninja import Field, Router, Schema, Status
from ninja.pagination import paginate

from channels_app import identifiers
from channels_app.access.permissions import Actor
from channels_app.rest.bodies import Body
from channels_app.rest.pagination import Pages
from channels_app.rest.service import SESSION_ONLY, Request, user_of
from publishing.models import TrustedPublisher
from publishing.trusted import publishers, queries
from publishing.trusted.api import arguments

router = Router(tags=["Trusted publishers"])
Text = Annotated[str, Field(max_length=5000)]


class NewPendingPublisher(Body):
    """A publisher for a channel that does not exist yet."""

    channel_name: str = Field(max_length=identifiers.CHANNEL_MAX_CHARACTERS)
    provider: str = Field(max_length=50, description="github, gitlab, google, buildkite, circleci or generic.")
    issuer: str = Field("", max_length=255, description="URL of the issuer; empty: the provider's own.")
    fields: dict[str, Text] = Field(description="The fields of the provider's form.")
    pins: dict[str, Text] = Field({}, description="Stable ids that you know.")
    package_globs: list[Text] = Field([], max_length=100, description="Package names to upload; empty: all.")


class PendingPublisher(Schema):
    """A publisher that waits for its first use, until `expires_at`."""

    id: int
    channel_name: str
    provider: str
    issuer: str
    fields: dict[str, str]
    pins: dict[str, str]
    package_globs: list[str]
    created_at: datetime
    expires_at: datetime

    @staticmethod
    def resolve_provider(publisher: TrustedPublisher) -> str:
        return publisher.issuer.provider

    @staticmethod
    def resolve_issuer(publisher: TrustedPublisher) -> str:
        return publisher.issuer.url


@router.get(
    "/pending-publishers", response=list[PendingPublisher], url_name="pending-publishers", openapi_extra=SESSION_ONLY
)
@paginate(Pages, ordering=("pk",))
def list_pending_publishers(request: Request) -> QuerySet[TrustedPublisher]:
    """List the signed-in user's publishers for channels that do not exist yet."""
    return queries.pending(user_of(request))


@router.post("/pending-publishers", response={201: PendingPublisher}, openapi_extra=SESSION_ONLY)
def add_pending_publisher(request: Request, new: NewPendingPublisher, response: HttpResponse) -> Status[Any]:
    """Add a publisher whose first use, within 30 days, creates its private channel for the signed-in user."""
    user, sent = user_of(request), new.dict(exclude_defaults=True)
    channel_name = sent.pop("channel_name")
    publisher = publishers.add_pending(user=user, channel_name=channel_name, **arguments(sent))
    response.headers["Location"] = f"{request.path}/{publisher.pk}"
    return Status(201, publisher)


@router.get(
    "/pending-publishers/{publisher_id}",
    response=PendingPublisher,
    url_name="pending-publisher",
    openapi_extra=SESSION_ONLY,
)
def get_pending_publisher(request: Request, publisher_id: int) -> TrustedPublisher:
    return get_object_or_404(queries.pending(user_of(request)), pk=publisher_id)


@router.delete("/pending-publishers/{publisher_id}", response={204: None}, openapi_extra=SESSION_ONLY)
def remove_pending_publisher(request: Request, publisher_id: int) -> Status[None]:
    user = user_of(request)
    publishers.remove(actor=Actor(user=user), publisher=get_object_or_404(queries.pending(user), pk=publisher_id))
    return Status(204, None)
