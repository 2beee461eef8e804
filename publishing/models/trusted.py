"""Issuers of identity tokens, trusted publishers, and used tokens."""

from datetime import datetime

from django.db import models
from django.db.models.functions import Now

from channels_app import identifiers
from channels_app.models import ApiKey, Channel, User


class Issuer(models.Model):
    """An issuer of accepted identity tokens: built-in or added by an administrator; see trusted/issuers.py."""

    url = models.CharField(max_length=255, unique=True, help_text="Exactly as the tokens' `iss` says it.")
    provider = models.CharField(max_length=20, help_text="One of id_tokens.providers.PROVIDERS.")
    is_enabled = models.BooleanField(default=True)
    key_hosts = models.JSONField(
        default=list, blank=True, help_text="A list of other hosts that the issuer's keys may be fetched from."
    )
    key_set = models.JSONField(default=dict, editable=False, help_text="Key id → JWK.")
    fetched_at = models.DateTimeField(null=True, editable=False)
    tried_at = models.DateTimeField(null=True, editable=False)
    failure = models.CharField(max_length=300, blank=True, editable=False, help_text="Why the last fetch failed.")

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.url


class TrustedPublisher(models.Model):
    """A CI job that may publish to a channel, or read it, without a stored secret; see trusted/publishers.py.

    It is pending while its channel does not exist, or while its only package does not exist.
    """

    channel = models.ForeignKey(Channel, null=True, on_delete=models.CASCADE, related_name="publishers")
    channel_name = models.CharField(
        max_length=identifiers.CHANNEL_MAX_CHARACTERS,
        blank=True,
        help_text="Of a channel that its first exchange will make.",
    )
    issuer = models.ForeignKey(Issuer, on_delete=models.PROTECT, related_name="publishers")
    fields = models.JSONField(help_text="What its provider's form asks for: name → value.")
    identity = models.CharField(max_length=64, help_text="SHA-256 of `fields`, by which two are the same.")
    subject = models.CharField(max_length=300, blank=True, help_text="The name by which tokens find it.")
    pins = models.JSONField(default=dict, help_text="The provider's stable ids, once they are known: claim → value.")
    may_upload = models.BooleanField(default=True)
    may_read = models.BooleanField(default=False)
    package_globs = models.JSONField(default=list, help_text="The package names it may upload; empty: all.")
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="trusted_publishers")
    made_with = models.ForeignKey(
        ApiKey,
        null=True,
        on_delete=models.CASCADE,
        related_name="publishers_made",
        help_text="The key that added it: it may do no more than that key, and ends with it.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField(null=True, help_text="Of a pending one.")
    last_used_at = models.DateTimeField(null=True)
    keys = models.ManyToManyField(ApiKey, related_name="publishers")

    class Meta:
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(fields=["channel", "issuer", "identity"], name="one_publisher_an_identity"),
            models.UniqueConstraint(
                fields=["channel_name", "created_by", "issuer", "identity"],
                condition=models.Q(channel=None),
                name="one_pending_publisher_an_identity",
            ),
            models.CheckConstraint(
                condition=models.Q(channel=None) ^ models.Q(channel_name=""), name="publisher_of_one_channel"
            ),
        ]
        indexes = [models.Index(fields=["issuer", "subject"], name="publishers_by_subject")]

    def __str__(self) -> str:
        return f"{self.issuer} {self.subject} → {self.channel or self.channel_name}"

    @property
    def ends_at(self) -> datetime | None:
        """Return when it expires: as an unused pending publisher, or with the key that added it."""
        ends = [self.expires_at, self.made_with.expires_at if self.made_with else None]
        return min((end for end in ends if end), default=None)


class UsedIdToken(models.Model):
    """An identity token that was exchanged, and can't be exchanged again."""

    issuer = models.ForeignKey(Issuer, on_delete=models.CASCADE, related_name="used_tokens")
    replay_key = models.CharField(max_length=100)
    expires_at = models.DateTimeField(db_index=True, help_text="From then on the token is refused for its age.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["issuer", "replay_key"], name="one_use_a_token")]

    def __str__(self) -> str:
        return self.replay_key
