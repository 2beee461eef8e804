"""The form of a channel's relations."""

from django import forms

from channels_app import identifiers
from channels_app.ui.form_fields import AS_TYPED, Data
from publishing.models import ChannelRelations


class RelationsForm(forms.Form):
    """The arguments of relations.change(): names of channels."""

    base = forms.CharField(
        required=False,
        max_length=identifiers.CHANNEL_MAX_CHARACTERS,
        label="Base channel",
        widget=forms.TextInput(AS_TYPED),
        help_text="Clients search it before this channel, as bioconda's users search conda-forge first.",
    )
    overrides = forms.CharField(
        required=False,
        max_length=identifiers.CHANNEL_MAX_CHARACTERS,
        label="Overridden channel",
        widget=forms.TextInput(AS_TYPED),
        help_text="Clients search it after this channel. Use it for a channel of release candidates or patches.",
    )

    def __init__(self, relations: ChannelRelations, data: Data = None) -> None:
        initial = {name: getattr(relations, name) for name in ("base", "overrides")}
        super().__init__(data, initial={name: channel.name for name, channel in initial.items() if channel})
