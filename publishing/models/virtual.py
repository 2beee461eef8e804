"""Virtual channels: their members, the rules of names, and the pieces that their indexes take from members."""

from django.db import models

from channels_app import identifiers
from channels_app.models import Channel
from publishing.models.index import SubdirIndex

GLOB_MAX_CHARACTERS = 100


class VirtualMember(models.Model):
    """A channel, or a label of a channel, of which a virtual channel serves packages."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="virtual_members")
    position = models.PositiveSmallIntegerField(help_text="From 1 on: a name belongs to the first member that has it.")
    member = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="member_of")
    label = models.CharField(
        max_length=identifiers.LABEL_MAX_CHARACTERS, blank=True, db_default="", help_text="Empty: the channel itself."
    )
    is_served = models.BooleanField(
        db_default=True, help_text="The last marks of the index were made while the member was not deleted."
    )

    class Meta:
        ordering = ["position", "pk"]
        constraints = [
            models.UniqueConstraint(fields=["channel", "member", "label"], name="one_member_a_channel_and_label")
        ]

    def __str__(self) -> str:
        return f"{self.member}/label/{self.label}" if self.label else f"{self.member}"


class NameAct(models.TextChoices):
    """Rules of names. Without a member, ONLY_FROM reserves the names: no member may bring them."""

    ONLY_FROM = "only_from", "only from"
    NEVER_FROM = "never_from", "never from"


class NameRule(models.Model):
    """A rule by which a virtual channel takes the names of a glob only from one channel, or never from it."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="name_rules")
    names = models.CharField(max_length=GLOB_MAX_CHARACTERS, help_text="A case-sensitive glob.")
    act = models.CharField(max_length=10, choices=NameAct)
    # Names that only a purged channel could bring stay reserved.
    member = models.ForeignKey(Channel, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ["names", "pk"]
        constraints = [models.UniqueConstraint(fields=["channel", "names", "act", "member"], name="one_name_rule")]

    def __str__(self) -> str:
        return f"{self.names} {self.get_act_display()} {self.member or 'no member'}"


class VirtualName(models.Model):
    """The member from which a virtual channel takes a package name, in every subdir."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="virtual_names")
    name = models.CharField(max_length=identifiers.NAME_MAX_CHARACTERS)
    member = models.ForeignKey(VirtualMember, on_delete=models.CASCADE, related_name="names")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "name"], name="one_member_a_name")]

    def __str__(self) -> str:
        return self.name


class WaitingBuild(models.Model):
    """A build of a member whose names a virtual channel has not compared with its own yet."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="waiting_builds")
    index = models.ForeignKey(SubdirIndex, on_delete=models.CASCADE, related_name="+", help_text="The member's index.")
    since = models.PositiveBigIntegerField(help_text="Names with a later revision in `changed` wait.")
    builds = models.PositiveIntegerField(help_text="The number of builds that wait.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["channel", "index"], name="one_waiting_build")]

    def __str__(self) -> str:
        return f"{self.index} for {self.channel}"


class MergedShard(models.Model):
    """A shard of a member's index that the index of a virtual channel lists, or listed until `retired_at`."""

    index = models.ForeignKey(SubdirIndex, on_delete=models.CASCADE, related_name="merged_shards")
    sha256 = models.CharField(max_length=64)
    source = models.ForeignKey(SubdirIndex, on_delete=models.CASCADE, related_name="+")
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["index", "sha256"], name="one_source_a_shard")]
        indexes = [
            models.Index(
                fields=["retired_at"], name="merged_by_retirement", condition=models.Q(retired_at__isnull=False)
            )
        ]

    def __str__(self) -> str:
        return self.sha256
