"""What publishing keeps for itself: names on their way in, and the index as ready pieces."""

from django.db import models
from django.db.models.functions import Lower, Now

from channels_app import names
from channels_app.models import Channel


class Reservation(models.Model):
    """A file name that an upload is putting into the store: no other bytes may come under it meanwhile."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="reservations")
    subdir = models.CharField(max_length=names.SUBDIR_MAX_CHARACTERS)
    file_name = models.CharField(max_length=names.FILE_NAME_MAX_CHARACTERS)
    sha256 = models.CharField(max_length=64)
    token = models.CharField(max_length=32, help_text="Of the upload that took it last.")
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint("channel", "subdir", Lower("file_name"), name="one_reservation_a_file_name"),
        ]

    def __str__(self) -> str:
        return f"{self.channel}/{self.subdir}/{self.file_name}"


class SubdirIndex(models.Model):
    """The index files of one subdir, or, with an empty subdir, those of the whole channel.

    Each change raises `wanted`; a build raises `built` to the `wanted` that it read. Stale while wanted > built.
    """

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="indexes")
    subdir = models.CharField(max_length=names.SUBDIR_MAX_CHARACTERS, blank=True)
    wanted = models.PositiveBigIntegerField(default=0)
    built = models.PositiveBigIntegerField(default=0)
    builds = models.PositiveBigIntegerField(default=0, help_text="How many builds there have been.")
    etag = models.CharField(max_length=32, blank=True, help_text="Of every file of the last build.")
    current_etag = models.CharField(
        max_length=32, blank=True, help_text="Of the build that current_repodata.json was made from."
    )
    built_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "subdir"], name="one_index_a_subdir")]
        indexes = [
            models.Index(fields=["id"], name="stale_indexes", condition=models.Q(wanted__gt=models.F("built"))),
        ]

    def __str__(self) -> str:
        return f"{self.channel}/{self.subdir}"


class IndexedName(models.Model):
    """A package name in an index, the `wanted` of its last change, and its shard."""

    index = models.ForeignKey(SubdirIndex, on_delete=models.CASCADE, related_name="names")
    name = models.CharField(max_length=names.NAME_MAX_CHARACTERS)
    changed = models.PositiveBigIntegerField()
    shard_sha256 = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["index", "name"], name="one_shard_a_name")]
        indexes = [models.Index(fields=["index", "changed"], name="names_by_change")]

    def __str__(self) -> str:
        return self.name


class Fragment(models.Model):
    """What one name contributes to one section of an index file: ready JSON, without the commas between names."""

    index = models.ForeignKey(SubdirIndex, on_delete=models.CASCADE, related_name="fragments")
    section = models.CharField(max_length=40)
    name = models.CharField(max_length=names.NAME_MAX_CHARACTERS)
    body = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["index", "section", "name"], name="one_fragment_a_name")]

    def __str__(self) -> str:
        return f"{self.section} {self.name}"


class RetiredShard(models.Model):
    """A shard that no index names any more; it is kept for readers who hold an older index (CEP 16)."""

    index = models.ForeignKey(SubdirIndex, on_delete=models.CASCADE, related_name="retired_shards")
    sha256 = models.CharField(max_length=64)
    retired_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["index", "sha256"], name="one_retirement_a_shard")]
        indexes = [models.Index(fields=["retired_at"], name="shards_by_retirement")]

    def __str__(self) -> str:
        return self.sha256
