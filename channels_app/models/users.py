"""Users of the hub."""

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models.functions import Lower

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
