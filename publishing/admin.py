"""Django admin for the issuers of identity tokens and, read-only, for trusted publishers."""

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.timesince import timesince

from channels_app.admin import ReadOnlyAdmin
from hub.fetching import FetchError
from publishing.id_tokens.jwks import BadKeySet
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import Issuer, TrustedPublisher
from publishing.trusted import issuers


class IssuerForm(forms.ModelForm):
    """Form for an issuer. A new issuer's discovery document is fetched once during validation."""

    provider = forms.ChoiceField(choices=[(provider.name, provider.title) for provider in PROVIDERS.values()])

    class Meta:
        model = Issuer
        fields = ["url", "provider", "is_enabled", "key_hosts"]

    def clean_key_hosts(self) -> list[str]:
        hosts = self.cleaned_data["key_hosts"] or []
        if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
            raise ValidationError('Expected a list of hosts, such as ["www.googleapis.com"].')
        return hosts

    def clean(self) -> None:
        super().clean()
        url, hosts = self.cleaned_data.get("url"), self.cleaned_data.get("key_hosts")
        if self.instance.pk or url is None or hosts is None:
            return
        try:
            issuers.keys_url(url, hosts)
        except (FetchError, BadKeySet) as error:
            self.add_error("url", str(error))


@admin.register(Issuer)
class IssuerAdmin(admin.ModelAdmin):
    form = IssuerForm
    list_display = ["url", "provider", "is_enabled", "keys", "failure"]
    readonly_fields = ["keys", "failure"]

    def get_readonly_fields(self, request: HttpRequest, obj: Issuer | None = None) -> list[str]:
        return [*self.readonly_fields, *(["url", "provider"] if obj else [])]

    def has_delete_permission(self, request: HttpRequest, obj: Issuer | None = None) -> bool:
        return False

    @admin.display(description="keys")
    def keys(self, issuer: Issuer) -> str:
        """Return the number of keys and their age."""
        if issuer.fetched_at is None:
            return "none yet"
        return f"{len(issuer.key_set)}, fetched {timesince(issuer.fetched_at)} ago"


@admin.register(TrustedPublisher)
class TrustedPublisherAdmin(ReadOnlyAdmin):
    list_display = ["subject", "issuer", "channel", "channel_name", "created_by", "last_used_at", "expires_at"]
    search_fields = ["subject", "channel__name", "channel_name"]
    list_select_related = ["issuer", "channel", "created_by"]
    exclude = ["keys", "identity"]
