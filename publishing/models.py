"""Models of publishing: uploads, indexes, patches, notices, relations, publishers, attestations, jobs, promotions."""

import uuid
from datetime import datetime
from typing import Any

from django.db import models
from django.db.models.functions import Lower, Now
from django.utils import timezone

from channels_app import identifiers
from channels_app.models import ApiKey, Artifact, Channel, User


class Reservation(models.Model):
    """A file name that an upload has reserved while it writes to the store. Other bytes are refused meanwhile."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="reservations")
    subdir = models.CharField(max_length=identifiers.SUBDIR_MAX_CHARACTERS)
    file_name = models.CharField(max_length=identifiers.FILE_NAME_MAX_CHARACTERS)
    sha256 = models.CharField(max_length=64)
    token = models.CharField(max_length=32, help_text="Of the upload that took it last.")
    expires_at = models.DateTimeField()
    more_bytes = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="That the upload adds to the channel, for its quota."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint("channel", "subdir", Lower("file_name"), name="one_reservation_a_file_name"),
        ]

    def __str__(self) -> str:
        return f"{self.channel}/{self.subdir}/{self.file_name}"

    @classmethod
    def of(cls, channel: Channel, subdir: str, file_name: str) -> models.QuerySet["Reservation"]:
        """Return the reservation of a file name, not case-sensitive, by the unique index."""
        return cls.objects.filter(channel=channel, subdir=subdir, file_name__lower=file_name.lower())


class SubdirIndex(models.Model):
    """The index files of one subdir of a channel or a label or, with an empty subdir, of the whole channel.

    Each change raises `requested_revision`. A build sets `built_revision` to the `requested_revision` that it read. The
    index is stale while requested_revision > built_revision.
    """

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="indexes")
    subdir = models.CharField(
        max_length=len("label//") + identifiers.LABEL_MAX_CHARACTERS + identifiers.SUBDIR_MAX_CHARACTERS,
        blank=True,
        help_text="Its folder below the channel: of a label, label/LABEL/SUBDIR.",
    )
    label = models.CharField(
        max_length=identifiers.LABEL_MAX_CHARACTERS, blank=True, db_default="", help_text="Empty: the channel itself."
    )
    requested_revision = models.PositiveBigIntegerField(default=0)
    requested_at = models.DateTimeField(
        null=True, help_text="Since when there is something to build; without meaning while there is nothing."
    )
    built_revision = models.PositiveBigIntegerField(default=0)
    builds = models.PositiveBigIntegerField(default=0, help_text="How many builds there have been.")
    etag = models.CharField(max_length=32, blank=True, help_text="Of every file of the last build.")
    current_etag = models.CharField(
        max_length=32, blank=True, help_text="Of the build that current_repodata.json was made from."
    )
    built_at = models.DateTimeField(null=True)
    turn_at = models.DateTimeField(null=True, help_text="When its last build began, however that ended.")
    due_at = models.DateTimeField(null=True, help_text="Not to be built by a worker before.")
    is_patched = models.BooleanField(
        db_default=False, help_text="Patches change records of the last build, so it has a repodata_from_packages.json."
    )
    has_labels = models.BooleanField(
        db_default=False, help_text="Of a channel's own index: labels have or had indexes of this subdir."
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "subdir"], name="one_index_a_subdir")]
        indexes = [
            models.Index(
                fields=["id"],
                name="stale_indexes",
                condition=models.Q(requested_revision__gt=models.F("built_revision")),
            ),
        ]

    def __str__(self) -> str:
        return self.folder

    @property
    def folder(self) -> str:
        """Return the folder of its files, as in URLs and in the store."""
        return f"{self.channel.name}/{self.subdir}".rstrip("/")

    @property
    def platform(self) -> str:
        """Return the subdir of its artifacts, also for the index of a label."""
        return self.subdir.rpartition("/")[2]

    @staticmethod
    def place(label: str, platform: str) -> str:
        """Return the column `subdir` of the index of a label, or of the channel's own if `label` is empty."""
        return f"label/{label}/{platform}" if label else platform

    @property
    def is_current(self) -> bool:
        return self.requested_revision <= self.built_revision

    @property
    def lag_s(self) -> float:
        """Return how long the oldest change has waited for a build; 0 if the index is current."""
        if self.is_current or self.requested_at is None:
            return 0.0
        return max(0.0, (timezone.now() - self.requested_at).total_seconds())


class IndexedName(models.Model):
    """A package name in an index, with its shard. `changed`: the `requested_revision` of its last change.

    The name is stale while changed > made. A stale index may have few stale names.
    """

    index = models.ForeignKey(SubdirIndex, on_delete=models.CASCADE, related_name="names")
    name = models.CharField(max_length=identifiers.NAME_MAX_CHARACTERS)
    changed = models.PositiveBigIntegerField()
    made = models.PositiveBigIntegerField(db_default=0, help_text="The `changed` that the index files contain.")
    removes = models.BooleanField(
        db_default=False, help_text="A change since then takes something out: the name is built before others."
    )
    shard_sha256 = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["index", "name"], name="one_shard_a_name")]
        indexes = [
            models.Index(
                fields=["index", "-removes", "changed"],
                name="stale_names",
                condition=models.Q(changed__gt=models.F("made")),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Fragment(models.Model):
    """The JSON of one package name in one section of an index file, without the commas between names.

    A large one has a row for each of its parts, with the same commas between them.
    """

    index = models.ForeignKey(SubdirIndex, on_delete=models.CASCADE, related_name="fragments")
    section = models.CharField(max_length=40)
    name = models.CharField(max_length=identifiers.NAME_MAX_CHARACTERS)
    part = models.PositiveIntegerField(default=0, db_default=0, help_text="0: it is whole; or its parts, from 1 on.")
    body = models.TextField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["index", "section", "name", "part"], name="one_fragment_a_name_and_part")
        ]

    def __str__(self) -> str:
        return f"{self.section} {self.name}"


class RetiredShard(models.Model):
    """A shard that the current index no longer uses, kept for clients with an older index (CEP 16)."""

    index = models.ForeignKey(SubdirIndex, on_delete=models.CASCADE, related_name="retired_shards")
    sha256 = models.CharField(max_length=64)
    retired_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["index", "sha256"], name="one_retirement_a_shard")]
        indexes = [models.Index(fields=["retired_at"], name="shards_by_retirement")]

    def __str__(self) -> str:
        return self.sha256


class Patch(models.Model):
    """A change of repodata records of a channel: a rule, or imported instructions for the files of one subdir.

    Its content never changes. It is active until it ends; patches of one position replace each other. The patches of a
    channel apply in the order of their positions. See index/patching.py and patches/patches.py.
    """

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="patches")
    position = models.PositiveBigIntegerField()
    title = models.CharField(max_length=200)
    names = models.JSONField(default=list, help_text="Globs of package names; empty: all.")
    subdirs = models.JSONField(default=list, help_text="Empty: all.")
    version = models.CharField(max_length=200, blank=True, help_text="A version spec such as >=1.2,<2.")
    build = models.CharField(max_length=64, blank=True, help_text="A glob.")
    built_from = models.DateTimeField(null=True)
    built_before = models.DateTimeField(null=True)
    changes = models.JSONField(default=dict, help_text="Key of the record → its change; see index/patching.py.")
    import_subdir = models.CharField(
        max_length=identifiers.SUBDIR_MAX_CHARACTERS, blank=True, help_text="Of imported instructions."
    )
    source = models.CharField(max_length=300, blank=True, help_text="The file that was imported.")
    file_count = models.PositiveIntegerField(default=0, help_text="The files that imported instructions name.")
    ignored = models.JSONField(default=dict, help_text="Keys that no patch may change → how many files have them.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="patches")
    ended_at = models.DateTimeField(null=True)
    ended_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="ended_patches")
    replaces = models.ForeignKey(
        "self", null=True, on_delete=models.SET_NULL, related_name="replaced_by", help_text="Active again after undo."
    )

    # Of an import that is not saved yet: package name → file name → changes.
    parts: dict[str, dict[str, Any]] | None = None

    class Meta:
        ordering = ["position", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "position"], condition=models.Q(ended_at=None), name="one_patch_a_position"
            ),
            models.UniqueConstraint(
                fields=["channel", "import_subdir"],
                condition=models.Q(ended_at=None) & ~models.Q(import_subdir=""),
                name="one_import_a_subdir",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def is_import(self) -> bool:
        return bool(self.import_subdir)

    @classmethod
    def active(cls, channel: Channel) -> models.QuerySet["Patch"]:
        """Select the active patches of the channel, in the order in which they apply."""
        return cls.objects.filter(channel=channel, ended_at=None).order_by("position")


class PatchedName(models.Model):
    """The imported instructions for the files of one package name: file name → changes."""

    patch = models.ForeignKey(Patch, on_delete=models.CASCADE, related_name="patched_names")
    name = models.CharField(max_length=identifiers.NAME_MAX_CHARACTERS)
    files = models.JSONField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["patch", "name"], name="one_part_a_name")]

    def __str__(self) -> str:
        return self.name


class NoticeLevel(models.TextChoices):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class ChannelNotice(models.Model):
    """A message for everybody who uses the channel (CEP 6) or the hub. It is deleted when it expires."""

    channel = models.ForeignKey(
        Channel, null=True, on_delete=models.CASCADE, related_name="notices", help_text="Null: a notice of the hub."
    )
    uid = models.UUIDField(default=uuid.uuid4, help_text="Clients show each uid once; another message gets another.")
    level = models.CharField(max_length=8, choices=NoticeLevel.choices)
    message = models.CharField(max_length=1000)
    for_clients = models.BooleanField(
        default=True, db_default=True, help_text="False: only the pages of the hub show it, as a banner."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="channel_notices")

    class Meta:
        indexes = [models.Index(fields=["expires_at"], name="notices_by_expiry")]

    def __str__(self) -> str:
        return f"{self.channel or 'hub'}: {self.level} notice"


class ChannelRelations(models.Model):
    """The channels that clients load with a channel (CEP 42)."""

    channel = models.OneToOneField(Channel, on_delete=models.CASCADE, related_name="relations")
    base = models.ForeignKey(Channel, null=True, on_delete=models.SET_NULL, related_name="+")
    overrides = models.ForeignKey(Channel, null=True, on_delete=models.SET_NULL, related_name="+")
    listed = models.JSONField(default=dict, help_text="`channel_relations` of the index files.")

    class Meta:
        verbose_name_plural = "channel relations"

    def __str__(self) -> str:
        return f"relations of {self.channel}"


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


class Attestation(models.Model):
    """A verified Sigstore bundle: one element of its artifact's sidecar (CEP 50). Its bytes never change."""

    artifact = models.ForeignKey(Artifact, on_delete=models.CASCADE, related_name="attestations")
    position = models.PositiveIntegerField()
    bundle = models.TextField()
    claims = models.JSONField(default=dict, help_text="What its certificate says: name → value.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["artifact", "position"], name="one_attestation_a_position")]

    def __str__(self) -> str:
        return f"{self.artifact} {self.position}"


class FailedJob(models.Model):
    """A job that failed, until it succeeds or an administrator dismisses it; see failed_jobs.py."""

    task = models.CharField(max_length=100)
    args = models.JSONField(default=list)
    error = models.CharField(max_length=500)
    times = models.PositiveIntegerField(default=1, help_text="How often it has failed since it last succeeded.")
    failed_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-failed_at"]
        constraints = [models.UniqueConstraint(fields=["task", "args"], name="one_failure_a_job")]

    def __str__(self) -> str:
        return f"{self.task}{tuple(self.args)}: {self.error}"


class Verification(models.Model):
    """The last comparison of a channel's database, index files and store; see verification/verification.py."""

    channel = models.OneToOneField(Channel, on_delete=models.CASCADE, related_name="verification")
    ended_at = models.DateTimeField(db_default=Now())
    is_hashed = models.BooleanField(default=False, help_text="Whether every byte was read, too.")
    file_count = models.PositiveIntegerField(default=0)
    differences = models.JSONField(default=list, help_text="A list of [kind, key, sentence]: the first 1,000.")
    difference_count = models.PositiveIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.channel}: {self.difference_count} differences"


class PromotionState(models.TextChoices):
    WAITING = "waiting", "waiting for approval"
    RUNNING = "running", "running"
    DONE = "done", "done"
    FAILED = "failed", "failed"
    REFUSED = "refused", "refused"
    ROLLED_BACK = "rolled_back", "rolled back"


class Promotion(models.Model):
    """Files that were copied or moved to a channel from another one, as one change; see promotion/promotions.py."""

    source = models.ForeignKey(Channel, null=True, on_delete=models.SET_NULL, related_name="promotions_from")
    target = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="promotions")
    is_move = models.BooleanField(default=False, help_text="The files are deleted in the source.")
    replaces = models.BooleanField(default=False, help_text="Other bytes with the same file name are replaced.")
    label = models.CharField(
        max_length=identifiers.LABEL_MAX_CHARACTERS,
        default=identifiers.MAIN_LABEL,
        db_default=identifiers.MAIN_LABEL,
        help_text="The label that the files get in the target.",
    )
    reason = models.CharField(max_length=500, blank=True)
    state = models.CharField(max_length=12, choices=PromotionState.choices)
    keeps_attestations = models.BooleanField(
        default=False, db_default=False, help_text="Attestations that name another channel go along."
    )
    failure = models.CharField(max_length=500, blank=True, help_text="Why it failed or was refused.")
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="promotions")
    created_with = models.ForeignKey(ApiKey, null=True, on_delete=models.SET_NULL, related_name="promotions")
    decided_by = models.ForeignKey(
        User,
        null=True,
        on_delete=models.SET_NULL,
        related_name="decided_promotions",
        help_text="The second person, who approved or refused it.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, help_text="Since when its bytes are copied.")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["started_at"], name="running_promotions", condition=models.Q(state="running")),
        ]

    def __str__(self) -> str:
        return f"promotion {self.pk} to {self.target}"

    @property
    def promoter(self) -> str:
        """Return the name of the user or of the key without one; '' if both are deleted."""
        if self.created_by:
            return self.created_by.username
        return self.created_with.name if self.created_with else ""


class PromotionRule(models.Model):
    """A rule of a channel for promotions to it from a source; see promotion/rules.py."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="promotion_rules")
    source = models.CharField(
        max_length=identifiers.CHANNEL_MAX_CHARACTERS, help_text="The name of a channel, or * for all others."
    )
    needs = models.CharField(max_length=10, help_text="The right in the channel that the promoter needs.")
    needs_approval = models.BooleanField(default=False, help_text="A second person approves each promotion.")
    keeps_attestations = models.BooleanField(
        default=False, help_text="Attestations that name another channel go along, and count."
    )

    class Meta:
        ordering = ["source"]
        constraints = [models.UniqueConstraint(fields=["channel", "source"], name="one_promotion_rule_a_source")]

    def __str__(self) -> str:
        return f"{self.source} → {self.channel}"


class PromotedFileChange(models.TextChoices):
    NEW = "new"
    RESTORED = "restored"
    REPLACED = "replaced"
    LABELED = "labeled"
    UNCHANGED = "unchanged"


# Changes by which the target gets bytes.
PUBLISHED = (PromotedFileChange.NEW, PromotedFileChange.RESTORED, PromotedFileChange.REPLACED)


class PromotedFile(models.Model):
    """A file of a promotion, and how the target changed by it. `artifact` is the one of the target."""

    promotion = models.ForeignKey(Promotion, on_delete=models.CASCADE, related_name="files")
    artifact = models.ForeignKey(Artifact, null=True, on_delete=models.SET_NULL, related_name="promoted_files")
    subdir = models.CharField(max_length=identifiers.SUBDIR_MAX_CHARACTERS)
    file_name = models.CharField(max_length=identifiers.FILE_NAME_MAX_CHARACTERS)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    change = models.CharField(max_length=10, choices=PromotedFileChange.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["promotion", "subdir", "file_name"], name="one_promotion_of_a_file")
        ]

    def __str__(self) -> str:
        return f"{self.subdir}/{self.file_name}"
