"""Retention rules of channels, and the files that they have removed."""

from django.db import models
from django.db.models.functions import Now

from channels_app.models.channels import Channel
from channels_app.models.packages import Artifact
from channels_app.models.users import User


class RetentionRule(models.Model):
    """A rule by which a channel gets rid of old files, with the values of publishing.retention.rules.Rule."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="retention_rules")
    title = models.CharField(max_length=200)
    names = models.JSONField(default=list, help_text="Globs of package names; empty: all.")
    labels = models.JSONField(default=list, db_default=[], help_text="Globs; empty: all.")
    without_labels = models.JSONField(default=list, db_default=[], help_text="Globs.")
    keep_versions = models.PositiveIntegerField(null=True)
    keep_builds = models.PositiveIntegerField(null=True)
    older_than_days = models.PositiveIntegerField(null=True)
    unused_days = models.PositiveIntegerField(null=True)
    protected_names = models.JSONField(default=list, help_text="Globs.")
    protected_versions = models.JSONField(default=list, help_text="Version specs.")
    protected_labels = models.JSONField(default=list, db_default=[], help_text="Globs.")
    delete_after_days = models.PositiveIntegerField(null=True, help_text="After the yank; null: never.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="retention_rules")
    ran_at = models.DateTimeField(
        db_default=Now(), help_text="When the rules of the channel were last applied or changed."
    )

    class Meta:
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.title


class RetentionRemoval(models.Model):
    """The last removal of an artifact by a rule. It keeps the rule from yanking a restored file again."""

    rule = models.ForeignKey(RetentionRule, on_delete=models.CASCADE, related_name="removals")
    artifact = models.ForeignKey(Artifact, on_delete=models.CASCADE, related_name="retention_removals")
    sha256 = models.CharField(max_length=64, help_text="Of the artifact at that time: other bytes are another file.")
    yanked_at = models.DateTimeField(help_text="The artifact's removed_at while this yank holds.")
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rule", "artifact"], name="one_removal_a_rule_and_file")]

    def __str__(self) -> str:
        return f"{self.artifact} by {self.rule}"
