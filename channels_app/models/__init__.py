"""Models, by noun. Import them from here."""

from channels_app.models.audit import AuditEvent, Letter, Outgoing
from channels_app.models.channels import Channel, ChannelKind, PendingName, ReservedName
from channels_app.models.keys import AccessRevision, ApiKey, KeyKind
from channels_app.models.labels import Label
from channels_app.models.limits import RateCount, Usage
from channels_app.models.packages import (
    DAMAGED,
    AboutDocument,
    Artifact,
    DailyDownloads,
    Package,
    PackageDependency,
    Removal,
)
from channels_app.models.people import Invitation, Member, Role, Team, TeamMember
from channels_app.models.rest import IdempotentReply
from channels_app.models.retention import RetentionRemoval, RetentionRule
from channels_app.models.users import User
from channels_app.models.webhooks import DeliveryState, Webhook, WebhookDelivery

__all__ = [
    "DAMAGED",
    "AboutDocument",
    "AccessRevision",
    "ApiKey",
    "Artifact",
    "AuditEvent",
    "Channel",
    "ChannelKind",
    "DailyDownloads",
    "DeliveryState",
    "IdempotentReply",
    "Invitation",
    "KeyKind",
    "Label",
    "Letter",
    "Member",
    "Outgoing",
    "Package",
    "PackageDependency",
    "PendingName",
    "RateCount",
    "Removal",
    "ReservedName",
    "RetentionRemoval",
    "RetentionRule",
    "Role",
    "Team",
    "TeamMember",
    "Usage",
    "User",
    "Webhook",
    "WebhookDelivery",
]
