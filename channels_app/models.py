"""Models of users, channels, teams, keys and artifacts."""

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower, Now

from channels_app import identifiers

# `field__lower=` uses the case-insensitive unique indexes, unlike `__iexact`.
models.CharField.register_lookup(Lower)


class User(AbstractUser):
    """A person. A superuser is an administrator of the hub and may do everything in every channel."""

    limits = models.JSONField(
        null=True,
        blank=True,
        help_text='How much this user may have, where it is another number than everybody\'s: {"channels": 50}; '
        "see docs/operating.md.",
    )

    class Meta(AbstractUser.Meta):
        constraints = [
            # Signing in ignores case, and similar names would allow impersonation.
            models.UniqueConstraint(
                Lower("username"),
                name="one_name_in_all_capitals",
                violation_error_message="Somebody has this name, in these or other capitals.",
            )
        ]


class Channel(models.Model):
    """A conda channel: `https://host/<name>`."""

    name = models.CharField(max_length=identifiers.CHANNEL_MAX_CHARACTERS, unique=True)
    description = models.CharField(max_length=500, blank=True)
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
    logo = models.BinaryField(null=True, help_text="A PNG that the hub has made itself; see logos.py.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    deleted_at = models.DateTimeField(
        null=True, editable=False, help_text="Since when it is as good as gone; it can be restored for a while."
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def upload_limit_bytes(self) -> int:
        """Return the maximal size of a package: the channel's own limit, else the hub's."""
        return self.max_upload_bytes or settings.HUB_MAX_UPLOAD_BYTES


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


class Usage(models.Model):
    """The bytes and packages of one user's channels, counted at each upload if there are quotas; see quotas.py."""

    user = models.OneToOneField(User, primary_key=True, on_delete=models.CASCADE, related_name="usage")
    stored_bytes = models.PositiveBigIntegerField()
    day = models.DateField(help_text="The day (UTC) of the last package.")
    day_packages = models.PositiveIntegerField(help_text="How many packages came on that day.")
    counted_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.user}: {self.stored_bytes} bytes"


class Role(models.TextChoices):
    VIEWER = "viewer"
    CONTRIBUTOR = "contributor"
    MAINTAINER = "maintainer"
    OWNER = "owner"


class Team(models.Model):
    """A group of users with shared memberships in channels."""

    name = models.CharField(max_length=100, unique=True)
    description = models.CharField(max_length=500, blank=True)
    group = models.CharField(
        max_length=200,
        blank=True,
        help_text="As PROVIDER:GROUP. Users who sign in by this OpenID Connect provider with this group are in the "
        "team, as long as they have the group.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class TeamMember(models.Model):
    """A user in a team; the managers of a team manage its members."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="people")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="teams")
    is_manager = models.BooleanField(default=False)
    is_by_group = models.BooleanField(default=False, help_text="Came, and goes, with the group at signing in.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="once_in_a_team")]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


class Member(models.Model):
    """The role of a user, or of all members of a team, in a channel."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "user"], name="one_role_a_member"),
            models.UniqueConstraint(fields=["channel", "team"], name="one_role_a_team"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="known_role"),
            models.CheckConstraint(condition=models.Q(user=None) ^ models.Q(team=None), name="member_is_user_or_team"),
            # Owners are users, so that there is always a person to contact.
            models.CheckConstraint(condition=models.Q(team=None) | ~models.Q(role="owner"), name="no_team_owns"),
        ]

    def __str__(self) -> str:
        return f"{self.user or self.team}, {self.role} of {self.channel}"


class Invitation(models.Model):
    """An offer of a role in a channel, or of a place in a team; see invitations.py."""

    channel = models.ForeignKey(Channel, null=True, on_delete=models.CASCADE, related_name="invitations")
    to_team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="invitations")
    invitee_name = models.CharField(
        max_length=254, help_text="As the inviter named them: an e-mail address, a user name, or `team NAME`."
    )
    email = models.EmailField(blank=True, help_text="In small letters; empty where a user or a team was named.")
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="received_invitations")
    team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="received_invitations")
    role = models.CharField(max_length=20, choices=Role, blank=True, help_text="Empty where it is into a team.")
    digest = models.CharField(max_length=64, unique=True, editable=False, help_text="SHA-256 of the link's secret.")
    invited_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="invitations")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    declined_at = models.DateTimeField(null=True, help_text="Until expires_at the same ones are not asked again.")
    mailed_at = models.DateTimeField(null=True, help_text="When the mail server took its mail.")
    mail_failure = models.CharField(max_length=200, blank=True, db_default="", help_text="Why it last did not.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "invitee_name"], name="one_invitation_to_a_channel"),
            models.UniqueConstraint(fields=["to_team", "invitee_name"], name="one_invitation_to_a_team"),
            models.CheckConstraint(
                condition=models.Q(channel=None) ^ models.Q(to_team=None), name="invitation_to_channel_or_team"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.invitee_name}, to {self.channel or self.to_team}"


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


class Package(models.Model):
    """All artifacts of one name in one channel, with the data that lists show; see packages.py."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="packages")
    name = models.CharField(max_length=identifiers.NAME_MAX_CHARACTERS)
    latest_version = models.CharField(
        max_length=identifiers.NAME_MAX_CHARACTERS, blank=True, help_text="Empty where no artifact can be installed."
    )
    summary = models.CharField(max_length=500, blank=True)
    subdirs = models.JSONField(default=list)
    updated_at = models.DateTimeField(null=True)
    download_count = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "name"], name="one_package_a_name")]
        indexes = [
            models.Index(fields=["channel", "-updated_at"], name="packages_by_update"),
            models.Index(fields=["-updated_at"], name="packages_everywhere"),
        ]

    def __str__(self) -> str:
        return f"{self.channel}/{self.name}"


class PackageDependency(models.Model):
    """The name of a package that a package's latest version depends on."""

    package = models.ForeignKey(Package, on_delete=models.CASCADE, related_name="dependencies")
    name = models.CharField(max_length=identifiers.NAME_MAX_CHARACTERS)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["package", "name"], name="one_dependency_a_name")]
        indexes = [models.Index(fields=["name"], name="dependents_by_name")]

    def __str__(self) -> str:
        return f"{self.package} needs {self.name}"


class Removal(models.TextChoices):
    """The ways in which an artifact was removed from the index (CEP 36)."""

    NONE = "", "in the index"
    YANKED = "yanked", "yanked"  # out of the index, still served by its URL
    DELETED = "deleted", "deleted"  # no longer served; the row reserves the file name


# The prefix of reasons that concern the store, not the record: verify reverts them once the bytes are intact.
DAMAGED = "Its bytes are "


class Artifact(models.Model):
    """One published file. It is served unless it is deleted, and indexed unless it is yanked or deleted."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="artifacts")
    package = models.ForeignKey(Package, on_delete=models.CASCADE, related_name="artifacts")
    subdir = models.CharField(max_length=identifiers.SUBDIR_MAX_CHARACTERS)
    file_name = models.CharField(max_length=identifiers.FILE_NAME_MAX_CHARACTERS)
    version = models.CharField(max_length=identifiers.NAME_MAX_CHARACTERS)
    build = models.CharField(max_length=identifiers.NAME_MAX_CHARACTERS)
    build_number = models.PositiveBigIntegerField()
    revision = models.PositiveSmallIntegerField(
        help_text="The repodata revision that its record needs (CEP 48): 1 or 3."
    )
    size_bytes = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    md5 = models.CharField(max_length=32)
    index_json = models.JSONField(help_text="info/index.json as it was built.")
    about_json = models.JSONField(default=dict, help_text="info/about.json, as much of it as is shown; see about.py.")
    run_exports = models.JSONField(default=dict, help_text="CEP 12's form: kind → specs.")
    features = models.JSONField(default=list, help_text="CEP 38's facts that hold, for channeldata.json.")
    warnings = models.JSONField(default=list, help_text="What is allowed but may trouble some client.")
    indexed_timestamp = models.PositiveBigIntegerField(help_text="CEP 47: milliseconds, by the hub's clock.")
    quarantine_reason = models.TextField(
        blank=True, help_text="Why the index leaves it out: a client could not read it."
    )
    removal = models.CharField(max_length=10, choices=Removal, blank=True, default=Removal.NONE)
    removed_at = models.DateTimeField(null=True)
    removed_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="removed_artifacts")
    removal_reason = models.CharField(max_length=500, blank=True)
    is_purged = models.BooleanField(default=False, help_text="Deleted so long ago that its bytes are gone.")
    files = models.JSONField(default=list, help_text="The first of its files, as [path, bytes].")
    file_count = models.PositiveIntegerField(default=0)
    licences = models.JSONField(default=list, db_default=[], help_text="Its licence files, as [path, text].")
    download_count = models.PositiveBigIntegerField(default=0)
    uploaded_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="artifacts")
    uploaded_with = models.ForeignKey(ApiKey, null=True, on_delete=models.SET_NULL, related_name="artifacts")
    provenance = models.JSONField(
        default=dict,
        db_default={},
        help_text="Where a trusted publisher built it: id_tokens.rules.Provenance, or empty.",
    )
    attestations_sha256 = models.CharField(
        max_length=64,
        blank=True,
        db_default="",
        help_text="Of its attestations' sidecar (CEP 50), in hex; empty without any.",
    )

    class Meta:
        constraints = [
            # File systems of some clients ignore case.
            models.UniqueConstraint("channel", "subdir", Lower("file_name"), name="one_artifact_a_file_name"),
        ]
        indexes = [
            models.Index(fields=["channel", "subdir", "file_name"], name="artifact_by_path"),
            models.Index(fields=["package", "subdir"], name="artifact_by_package"),
            # Indexed artifacts, by subdir for counts and by time for feeds, without reads of the wide rows.
            models.Index(
                fields=["channel", "subdir", "package"],
                name="listed_by_subdir",
                condition=models.Q(removal="", quarantine_reason=""),
            ),
            models.Index(
                fields=["channel", "-indexed_timestamp"],
                name="listed_by_time",
                condition=models.Q(removal="", quarantine_reason=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel}/{self.subdir}/{self.file_name}"

    @property
    def is_damaged(self) -> bool:
        """Tell whether the artifact is quarantined because its bytes are missing or wrong."""
        return self.quarantine_reason.startswith(DAMAGED)


class AboutDocument(models.Model):
    """The complete info/about.json of an artifact if it is too long for the row; see about.py."""

    artifact = models.OneToOneField(Artifact, on_delete=models.CASCADE, related_name="about_document")
    body = models.BinaryField(help_text="JSON, as one zstd frame.")

    def __str__(self) -> str:
        return f"about.json of {self.artifact_id}"


class DailyDownloads(models.Model):
    """The number of downloads of an artifact on one day (UTC)."""

    artifact = models.ForeignKey(Artifact, on_delete=models.CASCADE, related_name="daily_downloads")
    day = models.DateField()
    count = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["artifact", "day"], name="one_count_a_day")]
        indexes = [models.Index(fields=["day"], name="downloads_by_day")]

    def __str__(self) -> str:
        return f"{self.artifact} on {self.day}: {self.count}"


class RateCount(models.Model):
    """The number of attempts in one window of a rate limit; see rate_limits/counters.py."""

    name = models.CharField(max_length=100)
    window = models.PositiveBigIntegerField(help_text="The window's end, in seconds since 1970.")
    count = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "window"], name="one_count_a_window")]

    def __str__(self) -> str:
        return f"{self.name}: {self.count}"


class Outgoing(models.Model):
    """An outgoing message, such as a mail; see outbox.py."""

    task = models.CharField(max_length=100, help_text="The name of what sends it: one of tasks.SENDERS.")
    args = models.JSONField(default=list)
    lane = models.CharField(max_length=100, help_text="To whom: what is in one lane goes out in order.")
    tries = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    due_at = models.DateTimeField(db_default=Now(), help_text="Not to be tried before.")

    def __str__(self) -> str:
        return f"{self.task}{tuple(self.args)}"


class Letter(models.Model):
    """A mail that a request has stored, such as one with a code, until a job sends it; see mailing.py."""

    to = models.CharField(max_length=254, blank=True, help_text="Empty if there is no recipient.")
    subject = models.CharField(max_length=300)
    text = models.TextField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"letter {self.pk}"


class AccessRevision(models.Model):
    """The access revision: one row with a number that triggers raise when a right may have ended; see revision.py."""

    number = models.PositiveBigIntegerField(db_default=0)

    def __str__(self) -> str:
        return str(self.number)


class AuditEvent(models.Model):
    """A change, with its actor and credential; it is written in the transaction of the change."""

    channel = models.ForeignKey(Channel, null=True, on_delete=models.SET_NULL, related_name="events")
    actor = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="events")
    key = models.ForeignKey(ApiKey, null=True, on_delete=models.SET_NULL, related_name="events")
    action = models.CharField(max_length=50)
    target = models.CharField(max_length=300)
    detail = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["-created_at", "-pk"]
        indexes = [models.Index(fields=["channel", "-created_at"], name="events_of_channel")]

    def __str__(self) -> str:
        return f"{self.action} {self.target}"


class IdempotentReply(models.Model):
    """The response to a request with an `Idempotency-Key`, kept for a day; see rest/idempotency.py."""

    digest = models.CharField(max_length=64, unique=True, help_text="SHA-256 of the sender and the key.")
    request_digest = models.CharField(max_length=64, help_text="SHA-256 of the request.")
    status = models.PositiveSmallIntegerField(default=0, help_text="0 until the response exists.")
    headers = models.JSONField(default=dict)
    body = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    def __str__(self) -> str:
        return f"reply {self.pk}"
