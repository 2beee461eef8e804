"""Forms of upstream channels. Each field is checked by the function that checks it when it is stored."""

from dataclasses import asdict
from typing import Any

from django import forms

from channels_app.channels.forms import ChannelForm
from channels_app.identifiers import FILE_NAME_MAX_CHARACTERS, SUBDIR_MAX_CHARACTERS
from channels_app.ui.form_errors import raised_as_validation_error
from channels_app.ui.form_fields import AS_TYPED, Data, LinesField
from hub.sizes import GIB
from publishing.models import Upstream
from publishing.models.upstreams import COOLDOWN_DAYS_MAX, POLL_MINUTES_MAX, URL_MAX_CHARACTERS
from publishing.record_filters import NEWEST_VERSIONS_MAX
from publishing.upstreams import upstreams
from publishing.upstreams.filtering import MAX_AGE_DAYS_MAX, FilterTexts
from publishing.upstreams.upstreams import (
    CACHED_BYTES_MAX,
    CREDENTIAL_MAX_CHARACTERS,
    REASON_MAX_CHARACTERS,
    SUBDIRS,
)

LINES_MAX_CHARACTERS = 60_000


class UpstreamFields(forms.Form):
    """The settings of an upstream."""

    url = forms.CharField(
        label="URL of the channel",
        max_length=URL_MAX_CHARACTERS,
        widget=forms.TextInput(AS_TYPED),
        help_text="Such as https://conda.example.org/conda-forge, or a folder or bucket that the operator allows.",
    )
    credential = forms.CharField(
        required=False,
        max_length=CREDENTIAL_MAX_CHARACTERS,
        widget=forms.PasswordInput(AS_TYPED | {"autocomplete": "new-password"}),
        help_text="A token, or USER:PASSWORD. It is stored encrypted and sent to this URL only.",
    )
    subdirs = forms.CharField(
        label="Platforms",
        max_length=1000,
        initial=" ".join(SUBDIRS),
        widget=forms.TextInput(AS_TYPED),
        help_text="Separated by spaces or commas.",
    )
    poll_minutes = forms.IntegerField(
        label="Minutes between polls",
        min_value=1,
        max_value=POLL_MINUTES_MAX,
        initial=10,
        help_text="A poll asks whether the index of the other channel has changed.",
    )
    cooldown_days = forms.IntegerField(
        label="Days of cooldown",
        min_value=0,
        max_value=COOLDOWN_DAYS_MAX,
        initial=0,
        help_text="Records stay hidden for so long after the hub first saw them. 0: they are listed at once.",
    )
    exceptions = LinesField(
        label="Names without a cooldown",
        max_length=LINES_MAX_CHARACTERS,
        rows=4,
        help_text="One a line: a name, in which * and ? are wildcards, and the reason, as in: openssl CVE-2026-1.",
    )
    max_cached_gib = forms.FloatField(
        label="Size of the cache in GiB",
        min_value=0,
        max_value=CACHED_BYTES_MAX / GIB,
        initial=50,
        help_text="Above it, packages that were not used for the longest time are deleted. Larger ones are not served.",
    )

    def clean_url(self) -> str:
        with raised_as_validation_error():
            return upstreams.url_of(self.cleaned_data["url"])

    def clean_credential(self) -> str:
        with raised_as_validation_error():
            return upstreams.credential_of(self.cleaned_data["credential"])

    def clean_subdirs(self) -> list[str]:
        with raised_as_validation_error():
            return upstreams.subdirs_of(self.cleaned_data["subdirs"].replace(",", " ").split())

    def clean_exceptions(self) -> list[list[str]]:
        pairs = [line.partition(" ")[::2] for line in self.cleaned_data["exceptions"]]
        with raised_as_validation_error():
            return upstreams.exceptions_of(pairs)

    def values(self) -> dict[str, Any]:
        """Return the arguments of upstreams.change()."""
        cleaned = dict(self.cleaned_data)
        return cleaned | {"max_cached_bytes": int(cleaned.pop("max_cached_gib") * GIB)}


class UpstreamForm(UpstreamFields):
    """The settings of an existing upstream. An empty credential leaves the stored one."""

    remove_credential = forms.BooleanField(required=False, label="Remove the stored credential")

    def __init__(self, upstream: Upstream, data: Data = None) -> None:
        initial = {name: getattr(upstream, name) for name in ("url", "poll_minutes", "cooldown_days")}
        initial |= {
            "subdirs": " ".join(upstream.subdirs),
            "exceptions": [" ".join(each) for each in upstream.exceptions],
            "max_cached_gib": int(gib) if (gib := round(upstream.max_cached_bytes / GIB, 3)).is_integer() else gib,
        }
        super().__init__(data, initial=initial)
        self.stored = upstream

    def values(self) -> dict[str, Any]:
        values = super().values()
        values.pop("max_cached_gib", None)
        is_removed = values.pop("remove_credential")
        if not values["credential"] and not is_removed:
            del values["credential"]
        if "max_cached_gib" not in self.changed_data:
            values["max_cached_bytes"] = self.stored.max_cached_bytes
        return values


class NewUpstreamForm(ChannelForm, UpstreamFields):
    """A new channel with its upstream: the arguments of upstreams.create()."""

    # The logo is set in the channel's settings, and the kind is given.
    logo = None  # type: ignore[assignment]
    kind = None  # type: ignore[assignment]

    def values(self) -> dict[str, Any]:
        values = super().values()
        values.pop("max_cached_gib", None)
        return values


class AcceptanceForm(forms.Form):
    """A changed record to accept: the arguments of acceptance.accept()."""

    subdir = forms.CharField(max_length=SUBDIR_MAX_CHARACTERS)
    file_name = forms.CharField(max_length=FILE_NAME_MAX_CHARACTERS)
    sha256 = forms.CharField(min_length=64, max_length=64)
    reason = forms.CharField(max_length=REASON_MAX_CHARACTERS)


class FilterForm(forms.Form):
    """The filters of an upstream channel."""

    include = LinesField(
        label="Only these packages", help_text="One MatchSpec per line, such as numpy >=2 or acme-*. Empty: all."
    )
    exclude = LinesField(
        label="Not these packages",
        help_text="As above, also for a platform: *[subdir='win-64'] or qt-*[subdir=noarch].",
    )
    licenses = LinesField(
        label="Only these licences",
        help_text="One per line, such as MIT or BSD-*; * matches any text. Each of a record must match. Empty: all.",
    )
    excluded_licenses = LinesField(
        label="Not these licences", help_text="One per line, such as *GPL*. License families count, too."
    )
    max_age_days = forms.IntegerField(
        label="Days after which records are hidden",
        required=False,
        min_value=1,
        max_value=MAX_AGE_DAYS_MAX,
        help_text="Since the hub first saw them; looked at once a day. Empty: never.",
    )
    newest_versions = forms.IntegerField(
        label="Newest versions to keep",
        required=False,
        min_value=1,
        max_value=NEWEST_VERSIONS_MAX,
        help_text="Of each name on each platform, among the records that pass the other filters. Empty: all.",
    )

    def __init__(self, saved: FilterTexts, data: Data = None) -> None:
        super().__init__(data, initial=asdict(saved))

    def wanted(self) -> FilterTexts:
        return FilterTexts(**self.cleaned_data)
