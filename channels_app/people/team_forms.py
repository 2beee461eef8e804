"""The form of a team; teams.py checks the values."""

from django import forms

from channels_app.people.teams import NAME_MAX_CHARACTERS
from channels_app.ui.form_fields import AS_TYPED


class TeamForm(forms.Form):
    name = forms.CharField(
        max_length=NAME_MAX_CHARACTERS,
        widget=forms.TextInput(AS_TYPED),
        help_text="Channel owners find the team by this name. Lower-case letters, digits, '_', '.' and '-'.",
    )
    description = forms.CharField(required=False, max_length=500, help_text="Who is in the team, and what it is for.")
    group = forms.CharField(
        label="OpenID Connect group",
        required=False,
        max_length=200,
        widget=forms.TextInput(AS_TYPED),
        help_text="PROVIDER:GROUP, with the provider's id on this hub. Users who sign in there with this group are in "
        "the team as long as they have the group. Only administrators can set it. Emptying it removes those users.",
    )
