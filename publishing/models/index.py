"""Index files of subdirs and labels, and the pieces that they are made of."""

from django.db import models
from django.db.models.functions import Now
from django.utils import timezone

from channels_app import identifiers
from channels_app.models import Channel


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
