"""Channels, and names of channels that do not exist yet or no longer."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from channels_app import identifiers
from channels_app.models.users import User


class ChannelKind(models.TextChoices):
    """Sources of a channel's packages."""

    PACKAGES = "packages", "own packages"
    UPSTREAM = "upstream", "another channel's URL"
    VIRTUAL = "virtual", "other channels of this hub"


class Channel(models.Model):
    """A conda channel: `https://host/<name>`."""

    name = models.CharField(max_length=identifiers.CHANNEL_MAX_CHARACTERS, unique=True)
    description = models.CharField(max_length=500, blank=True)
    kind = models.CharField(
        max_length=8, choices=ChannelKind, default=ChannelKind.PACKAGES, db_default=ChannelKind.PACKAGES, editable=False
    )
    is_private = models.BooleanField(default=True)
    allow_overwrite = models.BooleanField(
        default=False, help_text="Uploads with force=true may replace a file by other bytes."
    )
    allow_revision_3 = models.BooleanField(
        default=True, help_text="Packages that only clients with repodata revision 3 (CEP 48) can see may be uploaded."
    )
    only_trusted_publishers = models.BooleanField(
        default=False, help_text="Only CI that publishes without a stored secret may upload; API keys may not."
    )
    require_attestation = models.BooleanField(
        default=False, help_text="Every upload must carry an attestation of where it was built (CEP 27)."
    )
    max_upload_bytes = models.PositiveBigIntegerField(null=True, blank=True, help_text="Empty: the hub's own limit.")
    quota_bytes = models.PositiveBigIntegerField(
        null=True, blank=True, help_text="Limit of its stored bytes. Empty: the hub's default; 0: no limit."
    )
    quota_warned_at = models.DateTimeField(
        null=True, editable=False, help_text="Since when its owners know that it is nearly full."
    )
    logo = models.BinaryField(null=True, help_text="A PNG that the hub has made itself; see logos.py.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    deleted_at = models.DateTimeField(
        null=True, editable=False, help_text="Since when it is as good as gone; it can be restored for a while."
    )

    # Of a virtual channel that a request may read, not stored; see permissions.decide().
    has_private_member = False

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def is_for_all(self) -> bool:
        """Tell whether anonymous users may read its files. Responses about others are private to caches."""
        return not self.is_private and not self.has_private_member

    @property
    def upload_limit_bytes(self) -> int:
        """Return the maximal size of a package: the channel's own limit, else the hub's."""
        return self.max_upload_bytes or settings.HUB_MAX_UPLOAD_BYTES

    @property
    def quota_limit_bytes(self) -> int | None:
        """Return the limit of the stored bytes: the channel's own, else the hub's; None for any amount."""
        return (settings.HUB_CHANNEL_BYTES if self.quota_bytes is None else self.quota_bytes) or None


class PendingName(models.Model):
    """A channel name that is reserved for one user's CI, which will create the channel; see pending_names.py."""

    name = models.CharField(max_length=identifiers.CHANNEL_MAX_CHARACTERS, unique=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="pending_names")
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


class ReservedName(models.Model):
    """The name of a deleted channel, reserved for its last owners; see reserved_names.py."""

    name = models.CharField(max_length=identifiers.CHANNEL_MAX_CHARACTERS, unique=True)
    owners = models.ManyToManyField(User, blank=True, related_name="reserved_names")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
