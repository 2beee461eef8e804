"""Promotions between channels, their files, and the rules about them."""

from django.db import models
from django.db.models.functions import Now

from channels_app import identifiers
from channels_app.models import ApiKey, Artifact, Channel, User


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
