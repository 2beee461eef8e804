"""Members of channels, teams and invitations."""

from django.db import models
from django.db.models.functions import Now

from channels_app.models.channels import Channel
from channels_app.models.users import User


class Role(models.TextChoices):
    VIEWER = "viewer"
    CONTRIBUTOR = "contributor"
    MAINTAINER = "maintainer"
    OWNER = "owner"


class Team(models.Model):
    """A group of users with shared memberships in channels."""

    name = models.CharField(max_length=100, unique=True)
    description = models.CharField(max_length=500, blank=True)
    group = models.CharField(
        max_length=200,
        blank=True,
        help_text="As PROVIDER:GROUP. Users who sign in by this OpenID Connect provider with this group are in the "
        "team, as long as they have the group.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class TeamMember(models.Model):
    """A user in a team; the managers of a team manage its members."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="people")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="teams")
    is_manager = models.BooleanField(default=False)
    is_by_group = models.BooleanField(default=False, help_text="Came, and goes, with the group at signing in.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="once_in_a_team")]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


class Member(models.Model):
    """The role of a user, or of all members of a team, in a channel."""

    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "user"], name="one_role_a_member"),
            models.UniqueConstraint(fields=["channel", "team"], name="one_role_a_team"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="known_role"),
            models.CheckConstraint(condition=models.Q(user=None) ^ models.Q(team=None), name="member_is_user_or_team"),
            # Owners are users, so that there is always a person to contact.
            models.CheckConstraint(condition=models.Q(team=None) | ~models.Q(role="owner"), name="no_team_owns"),
        ]

    def __str__(self) -> str:
        return f"{self.user or self.team}, {self.role} of {self.channel}"


class Invitation(models.Model):
    """An offer of a role in a channel, or of a place in a team; see invitations.py."""

    channel = models.ForeignKey(Channel, null=True, on_delete=models.CASCADE, related_name="invitations")
    to_team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="invitations")
    invitee_name = models.CharField(
        max_length=254, help_text="As the inviter named them: an e-mail address, a user name, or `team NAME`."
    )
    email = models.EmailField(blank=True, help_text="In small letters; empty where a user or a team was named.")
    user = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="received_invitations")
    team = models.ForeignKey(Team, null=True, on_delete=models.CASCADE, related_name="received_invitations")
    role = models.CharField(max_length=20, choices=Role, blank=True, help_text="Empty where it is into a team.")
    digest = models.CharField(max_length=64, unique=True, editable=False, help_text="SHA-256 of the link's secret.")
    invited_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="invitations")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    expires_at = models.DateTimeField()
    declined_at = models.DateTimeField(null=True, help_text="Until expires_at the same ones are not asked again.")
    mailed_at = models.DateTimeField(null=True, help_text="When the mail server took its mail.")
    mail_failure = models.CharField(max_length=200, blank=True, db_default="", help_text="Why it last did not.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["channel", "invitee_name"], name="one_invitation_to_a_channel"),
            models.UniqueConstraint(fields=["to_team", "invitee_name"], name="one_invitation_to_a_team"),
            models.CheckConstraint(
                condition=models.Q(channel=None) ^ models.Q(to_team=None), name="invitation_to_channel_or_team"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.invitee_name}, to {self.channel or self.to_team}"
