"""Reads of the home page of a signed-in user, each with one query."""

from datetime import timedelta

from django.db.models import F, QuerySet
from django.utils import timezone

from channels_app.access.permissions import Actor, visible_channels
from channels_app.authentication import api_keys
from channels_app.channels import queries
from channels_app.models import ApiKey, Artifact, Channel, KeyKind, Removal, User
from channels_app.packages.queries import HEAVY

CHANNELS = 6
UPLOADS = 5
EXPIRES_WITHIN = timedelta(days=14)


def own_channels(actor: Actor) -> QuerySet[Channel]:
    """Return the channels in which the user has a role, those that changed last first."""
    return queries.channel_cards(actor, mine=True).order_by(F("updated_at").desc(nulls_last=True), "name")[:CHANNELS]


def own_uploads(user: User) -> QuerySet[Artifact]:
    """Return the user's last uploads to channels that they can see."""
    uploads = Artifact.objects.filter(uploaded_by=user, channel__in=visible_channels(Actor(user=user)).values("pk"))
    shown = uploads.exclude(removal=Removal.DELETED).select_related("channel", "package").order_by("-pk")
    return shown.defer(*HEAVY, "channel__logo")[:UPLOADS]


def expiring_keys(user: User) -> QuerySet[ApiKey]:
    """Return the user's keys that expire soon, the next one first."""
    keys = api_keys.usable().filter(owner=user, expires_at__lt=timezone.now() + EXPIRES_WITHIN)
    return keys.exclude(kind=KeyKind.SHORT_LIVED).order_by("expires_at")
