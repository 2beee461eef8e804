"""`/api/v1/…/activity`: the audit log of a channel, of the account and of the hub, as lists and exports."""

from datetime import datetime
from typing import Any, Literal

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from ninja import Field, Query, Router, Schema
from ninja.pagination import paginate

from channels_app.access import administrators
from channels_app.access.permissions import Permission, channel_for
from channels_app.activity import export, queries
from channels_app.models import AuditEvent
from channels_app.rest.bodies import Time, UserName
from channels_app.rest.pagination import Pages
from channels_app.rest.service import SESSION_ONLY, Request, user_of

router = Router(tags=["Activity"])
Kind = Literal["packages", "members", "settings", "teams", "accounts", "administration"]


class Filters(Schema):
    """Filters of events."""

    kind: Kind | None = None
    since: Time | None = Field(None, description="The first time, such as 2026-01-31 or 2026-01-31T12:00:00Z.")
    until: Time | None = Field(None, description="The time before which the events end.")

    def apply(self, events: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
        return queries.filtered(events, kind=self.kind or "", since=self.since, until=self.until)


class ExportFilters(Filters):
    """Filters of events, and the format of the export."""

    format: export.Format = "jsonl"


class Event(Schema):
    """An event of the audit log."""

    id: int
    created_at: datetime
    action: str = Field(description="Such as `member.add`.")
    actor: UserName = Field(description="User name; null for the hub, deleted users, and keys without a user.")
    key: str | None = Field(description="Name of the API key that was used.")
    channel: str | None
    target: str = Field(description="The name of what was changed.")
    detail: dict[str, Any] = Field(description="Facts that depend on the action, such as values before and after.")

    @staticmethod
    def resolve_key(event: AuditEvent) -> str | None:
        return event.key.name if event.key else None

    @staticmethod
    def resolve_channel(event: AuditEvent) -> str | None:
        return event.channel.name if event.channel else None


# The answer of an export in the OpenAPI document.
FILE: dict[str, Any] = {
    "responses": {
        200: {
            "description": "All events of the filter, newest first",
            "content": {kind.partition(";")[0]: {"schema": {"type": "string"}} for kind in export.MEDIA_TYPES.values()},
        }
    }
}


@router.get("/channels/{channel}/activity", response=list[Event], url_name="channel-activity")
@paginate(Pages, ordering=("-pk",))
def list_channel_events(request: Request, channel: str, filters: Query[Filters]) -> QuerySet[AuditEvent]:
    """List the events of the channel, the newest first."""
    return filters.apply(queries.of_channel(channel_for(request.auth, channel, Permission.MANAGE)))


@router.get("/channels/{channel}/activity/export", openapi_extra=FILE, url_name="channel-activity-export")
def export_channel_events(request: Request, channel: str, filters: Query[ExportFilters]) -> StreamingHttpResponse:
    """Export all events of the channel as JSON Lines or CSV."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    return export.response(filters.apply(queries.of_channel(found)), filters.format, found.name)


@router.get("/account/activity", response=list[Event], url_name="account-activity", openapi_extra=SESSION_ONLY)
@paginate(Pages, ordering=("-pk",))
def list_account_events(request: Request, filters: Query[Filters]) -> QuerySet[AuditEvent]:
    """List the events of the signed-in user's account, the newest first."""
    return filters.apply(queries.of_account(user_of(request)))


@router.get("/account/activity/export", openapi_extra=FILE | SESSION_ONLY, url_name="account-activity-export")
def export_account_events(request: Request, filters: Query[ExportFilters]) -> StreamingHttpResponse:
    """Export all events of the signed-in user's account."""
    return export.response(filters.apply(queries.of_account(user_of(request))), filters.format, "account")


@router.get("/activity", response=list[Event], url_name="activity")
@paginate(Pages, ordering=("-pk",))
def list_hub_events(request: Request, filters: Query[Filters]) -> QuerySet[AuditEvent]:
    """List the events of all channels and accounts, for administrators.

    Their API keys need the scope `manage` for all channels.
    """
    administrators.check(request.auth, "see the activity of the hub")
    return filters.apply(queries.of_hub())


@router.get("/activity/export", openapi_extra=FILE, url_name="activity-export")
def export_hub_events(request: Request, filters: Query[ExportFilters]) -> StreamingHttpResponse:
    """Export all events of the hub as JSON Lines or CSV, for administrators."""
    administrators.check(request.auth, "see the activity of the hub")
    return export.response(filters.apply(queries.of_hub()), filters.format, "hub")
