"""Packages and their artifacts."""

from django.db import models
from django.db.models.functions import Lower

from channels_app import identifiers
from channels_app.models.channels import Channel
from channels_app.models.keys import ApiKey
from channels_app.models.users import User


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
    size_bytes = models.PositiveBigIntegerField(
        default=0, db_default=0, help_text="Of its stored files: deleted ones count until they are purged."
    )

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
    is_main = models.BooleanField(
        default=True, db_default=True, help_text="It has the label main: the channel's own index lists it."
    )
    removal = models.CharField(max_length=10, choices=Removal, blank=True, default=Removal.NONE)
    removed_at = models.DateTimeField(null=True)
    removed_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="removed_artifacts")
    removal_reason = models.CharField(max_length=500, blank=True)
    is_purged = models.BooleanField(default=False, help_text="Deleted so long ago that its bytes are gone.")
    files = models.JSONField(default=list, help_text="The first of its files, as [path, bytes].")
    file_count = models.PositiveIntegerField(default=0)
    licences = models.JSONField(default=list, db_default=[], help_text="Its licence files, as [path, text].")
    recipe = models.JSONField(null=True, help_text="Its recipe, as [path, text]; null for files of before.")
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
            models.Index(fields=["sha256"], name="artifact_by_sha256"),
            # Indexed artifacts, by subdir for counts and by time for feeds, without reads of the wide rows.
            models.Index(
                fields=["channel", "subdir", "package"],
                name="listed_by_subdir",
                condition=models.Q(removal="", quarantine_reason="", is_main=True),
            ),
            models.Index(
                fields=["channel", "-indexed_timestamp"],
                name="listed_by_time",
                condition=models.Q(removal="", quarantine_reason="", is_main=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.channel}/{self.path}"

    @property
    def path(self) -> str:
        """Return `<subdir>/<file name>`, its path below the URL of the channel."""
        return f"{self.subdir}/{self.file_name}"

    @property
    def label_names(self) -> list[str]:
        """Return its labels, `main` first. Lists of artifacts load them by queries.with_labels()."""
        others = sorted(label.name for label in self.labels.all())
        return [identifiers.MAIN_LABEL, *others] if self.is_main else others

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
