"""The form of a team; teams.py checks the values."""

from django import forms

from channels_app.people.teams import NAME_MAX_CHARACTERS
from channels_app.ui.form_fields import AS_TYPED


class TeamForm(forms.Form):
    name = forms.CharField(
        max_length=NAME_MAX_CHARACTERS,
        widget=forms.TextInput(AS_TYPED),
        help_text="By it owners of channels find the team. Lower-case letters, digits, '_', '.' and '-'.",
    )
    description = forms.CharField(required=False, max_length=500, help_text="Who is in it, and what for.")
    group = forms.CharField(
        label="OpenID Connect group",
        required=False,
        max_length=200,
        widget=forms.TextInput(AS_TYPED),
        help_text="As PROVIDER:GROUP, the provider by its id on this hub. Whoever signs in there with this group is in "
        "the team, and only for as long. Only administrators set it; to empty it takes out who came by it.",
    )
