"""File names that uploads and promotions hold."""

from django.db import models
from django.db.models.functions import Lower

from channels_app import identifiers
from channels_app.models import Channel


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
