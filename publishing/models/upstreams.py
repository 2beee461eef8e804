"""Upstream channels: the other channel, its records, and its packages in the cache."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from channels_app import identifiers
from channels_app.models import Channel
from hub.sizes import GIB
from publishing.models.index import SubdirIndex

URL_MAX_CHARACTERS = 500
POLL_MINUTES_MAX = 24 * 60
COOLDOWN_DAYS_MAX = 365


class Upstream(models.Model):
    """The source of an upstream channel's records and packages, and the end of the last polls."""

    channel = models.OneToOneField(Channel, on_delete=models.CASCADE, related_name="upstream")
    url = models.CharField(max_length=URL_MAX_CHARACTERS, help_text="The URL of the other channel, without a slash.")
    encrypted_credential = models.TextField(blank=True, help_text="A token, or USER:PASSWORD; sent only to this URL.")
    subdirs = models.JSONField(default=list)
    poll_minutes = models.PositiveIntegerField(
        default=10, validators=[MinValueValidator(1), MaxValueValidator(POLL_MINUTES_MAX)]
    )
    cooldown_days = models.PositiveIntegerField(
        default=0,
        validators=[MaxValueValidator(COOLDOWN_DAYS_MAX)],
        help_text="Records are hidden for this time after the hub first saw them.",
    )
    exceptions = models.JSONField(default=list, help_text="[glob, reason]: names without a cooldown.")
    filters = models.JSONField(
        default=dict, db_default={}, help_text="The texts of upstreams/filtering.py; empty: all records pass."
    )
    max_cached_bytes = models.PositiveBigIntegerField(default=50 * GIB)
    are_packages_listed = models.BooleanField(
        default=False, db_default=False, help_text="Names that were stored before there were packages have some, too."
    )
    are_rules_new = models.BooleanField(default=False, help_text="All names are to be judged again.")
    polled_at = models.DateTimeField(null=True, help_text="When the last poll began. Null: poll now.")
    succeeded_at = models.DateTimeField(null=True, help_text="When the last poll without an error began.")
    failing_since = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=40, blank=True)
    error = models.CharField(max_length=1000, blank=True, help_text="The error of the last poll, as a sentence.")
    notices = models.JSONField(null=True, help_text="Its notices (CEP 6) as the channel lists them.")
    notices_etag = models.CharField(max_length=300, blank=True, default="", db_default="")

    def __str__(self) -> str:
        return f"{self.channel} from {self.url}"


class UpstreamSubdir(models.Model):
    """The index of a subdir of the upstream, as it was last read.

    Records that were first seen until `first_sync_at` are old: no cooldown hides them.
    """

    upstream = models.ForeignKey(Upstream, on_delete=models.CASCADE, related_name="subdir_states")
    subdir = models.CharField(max_length=identifiers.SUBDIR_MAX_CHARACTERS)
    form = models.CharField(max_length=40, blank=True, help_text="The file that was read.")
    etag = models.CharField(max_length=300, blank=True)
    last_modified = models.CharField(max_length=100, blank=True)
    base_url = models.CharField(max_length=1000, blank=True, help_text="The folder of the packages, with a slash.")
    first_sync_at = models.DateTimeField(help_text="When the first poll began.")
    is_synced = models.BooleanField(default=False, help_text="The first poll has ended.")
    synced_at = models.DateTimeField(null=True, help_text="When the index last changed.")
    run_exports_etag = models.CharField(max_length=300, blank=True, default="", db_default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["upstream", "subdir"], name="one_state_an_upstream_subdir")]

    def __str__(self) -> str:
        return f"{self.upstream}: {self.subdir}"


class UpstreamName(models.Model):
    """All records of a package name of an upstream, also those that are hidden.

    Indexes are built from this row alone. A name without records at the upstream keeps its row for `first_seen`.
    """

    index = models.ForeignKey(SubdirIndex, on_delete=models.CASCADE, related_name="upstream_names")
    name = models.CharField(max_length=identifiers.NAME_MAX_CHARACTERS)
    upstream_hash = models.CharField(max_length=64, blank=True, help_text="Of its records; empty: it has none.")
    records = models.BinaryField(help_text="zstd of msgpack: file name → record.")
    run_exports = models.BinaryField(
        null=True, help_text="zstd of msgpack: file name → run exports, of records that state none."
    )
    first_seen = models.JSONField(default=dict, help_text="File name → [SHA-256, ms]; never forgotten.")
    hidden = models.JSONField(default=dict, help_text="File name → [reason, text]: records that are not listed.")
    record_count = models.PositiveIntegerField(default=0, help_text="Also counts hidden records.")
    waiting_count = models.PositiveIntegerField(default=0, help_text="Records that the cooldown hides.")
    filtered_count = models.PositiveIntegerField(default=0, db_default=0, help_text="Records that the filters hide.")
    held_count = models.PositiveIntegerField(default=0, help_text="Records that are hidden for another reason.")
    latest_version = models.CharField(
        max_length=identifiers.NAME_MAX_CHARACTERS,
        blank=True,
        default="",
        db_default="",
        help_text="Of listed records.",
    )
    updated_at = models.DateTimeField(null=True, help_text="When the hub first saw the newest record of this version.")
    due_at = models.DateTimeField(null=True, help_text="When a cooldown ends, or a record gets too old.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["index", "name"], name="one_upstream_name_an_index")]
        indexes = [
            models.Index(fields=["due_at"], name="upstream_names_by_due_at", condition=models.Q(due_at__isnull=False)),
            models.Index(
                fields=["index", "name"],
                name="filtered_upstream_names",
                condition=models.Q(filtered_count__gt=0),
            ),
            models.Index(
                fields=["index", "name"],
                name="hidden_upstream_names",
                condition=models.Q(waiting_count__gt=0) | models.Q(held_count__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.index}"


class CachedFile(models.Model):
    """A package of an upstream, or the sidecar of one, that lies in the store at its plain path."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="cached_files")
    subdir = models.CharField(max_length=identifiers.SUBDIR_MAX_CHARACTERS)
    file_name = models.CharField(max_length=identifiers.FILE_NAME_MAX_CHARACTERS + len(".sigs.") + 64)
    name = models.CharField(max_length=identifiers.NAME_MAX_CHARACTERS)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.PositiveBigIntegerField()
    is_listed = models.BooleanField(
        db_default=True, default=True, help_text="The index has its record. Others are not served."
    )
    fetched_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "subdir", "file_name"], name="one_cached_file_a_name")
        ]
        indexes = [models.Index(fields=["channel", "last_used_at"], name="cached_files_by_last_use")]

    def __str__(self) -> str:
        return f"{self.channel}/{self.subdir}/{self.file_name}"
