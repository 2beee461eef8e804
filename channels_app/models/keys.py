"""API keys, and the revision of access."""

from django.db import models
from django.db.models.functions import Now

from channels_app.models.channels import Channel
from channels_app.models.users import User


class KeyKind(models.TextChoices):
    PERSONAL = "personal"
    ROBOT = "robot"  # a channel key: it stays valid if its creator leaves
    SHORT_LIVED = "minted", "Short-lived"  # a token, issued for a trusted publisher's identity token


class ApiKey(models.Model):
    """A key of a user, of a channel, or of trusted publishers. Its secret is not stored; see api_keys.py."""

    kind = models.CharField(max_length=10, choices=KeyKind, default=KeyKind.PERSONAL, db_default="personal")
    owner = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="keys")
    robot_of = models.ForeignKey(Channel, null=True, on_delete=models.CASCADE, related_name="robots")
    name = models.CharField(max_length=300)
    digest = models.CharField(max_length=64, unique=True, editable=False, help_text="SHA-256 of the key, in hex.")
    hint = models.CharField(max_length=16, editable=False, help_text="The key's first characters.")
    scopes = models.JSONField(default=list, help_text="A list of: read, upload, delete, manage.")
    # Explicit, so that the deletion of a key's only channel does not extend the key to all channels.
    all_channels = models.BooleanField(default=False, help_text="For every channel of its owner, now and later.")
    channels = models.ManyToManyField(Channel, blank=True, related_name="keys")
    package_globs = models.JSONField(
        default=list, db_default=[], blank=True, help_text="The package names it may upload; empty: all."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    warned_at = models.DateTimeField(null=True, editable=False, help_text="When its owner was told that it expires.")
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)
    claims = models.JSONField(
        default=dict,
        db_default={},
        editable=False,
        help_text="Of a short-lived token: the verified claims of its identity token.",
    )

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(kind="personal", owner__isnull=False, robot_of=None)
                | models.Q(kind="robot", owner=None, robot_of__isnull=False)
                | models.Q(kind="minted", owner=None, robot_of=None),
                name="keys_are_of_a_user_or_a_channel",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"


class AccessRevision(models.Model):
    """The access revision: one row with a number that triggers raise when a right may have ended; see revision.py."""

    number = models.PositiveBigIntegerField(db_default=0)

    def __str__(self) -> str:
        return str(self.number)
