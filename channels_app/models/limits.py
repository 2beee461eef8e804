"""Counters of quotas and rate limits."""

from django.db import models
from django.db.models.functions import Now

from channels_app.models.users import User


class Usage(models.Model):
    """The bytes and packages of one user's channels, counted at each upload if there are quotas; see quotas.py."""

    user = models.OneToOneField(User, primary_key=True, on_delete=models.CASCADE, related_name="usage")
    stored_bytes = models.PositiveBigIntegerField()
    day = models.DateField(help_text="The day (UTC) of the last package.")
    day_packages = models.PositiveIntegerField(help_text="How many packages came on that day.")
    counted_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.user}: {self.stored_bytes} bytes"


class RateCount(models.Model):
    """The number of attempts in one window of a rate limit; see rate_limits/counters.py."""

    name = models.CharField(max_length=100)
    window = models.PositiveBigIntegerField(help_text="The window's end, in seconds since 1970.")
    count = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "window"], name="one_count_a_window")]

    def __str__(self) -> str:
        return f"{self.name}: {self.count}"
