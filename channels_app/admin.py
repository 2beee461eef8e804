"""Django's admin site for administrators: people, channels, keys (which can be revoked, but not read)."""

from typing import Any

import allauth.mfa.admin
import allauth.socialaccount.admin
import allauth.usersessions.admin  # noqa: F401  (each registers admin classes that are unregistered below)
from allauth.account.decorators import secure_admin_login
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialToken
from allauth.usersessions.models import UserSession
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from channels_app.access.permissions import Actor
from channels_app.administration.site import AuditMixin, Values
from channels_app.administration.users import HubUserAdmin
from channels_app.authentication import actors, api_keys
from channels_app.channels import channels, reserved_names, storage
from channels_app.models import ApiKey, Artifact, AuditEvent, Channel, ReservedName, User
from channels_app.quotas import channel_quotas
from hub.sizes import human_size

admin.site.site_header = "Channelhub administration"
admin.site.site_title = "Channelhub"
# The admin site signs in by the hub's own page, with its rate limits and second factors.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
admin.site.register(User, HubUserAdmin)
# Their admin pages would show secrets: seeds of second factors, tokens of providers, keys of sessions.
admin.site.unregister([Authenticator, SocialToken, UserSession])


@admin.register(Channel)
class ChannelAdmin(AuditMixin):
    list_display = ["name", "is_private", "size", "quota", "description", "created_at"]
    search_fields = ["name", "description"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        channels: QuerySet[Channel] = super().get_queryset(request)
        return channels.annotate(stored_bytes=channel_quotas.stored_bytes())

    @admin.display(ordering="stored_bytes")
    def size(self, channel: Channel) -> str:
        return human_size(getattr(channel, "stored_bytes"))  # noqa: B009

    @admin.display(ordering="quota_bytes")
    def quota(self, channel: Channel) -> str:
        limit_bytes = channel.quota_limit_bytes
        return human_size(limit_bytes) if limit_bytes else "no limit"

    def get_readonly_fields(self, request: HttpRequest, obj: Channel | None = None) -> list[str]:
        return ["name"] if obj else []

    def save_model(self, request: HttpRequest, obj: Channel, form: Any, change: bool) -> None:
        """Save by the same functions as the channel's pages, so that its owners are notified."""
        values = {name: form.cleaned_data[name] for name in form.changed_data}
        described = {name: values.pop(name) for name in ("description", "is_private") if name in values}
        actor = Actor(user=actors.person(request))
        if "quota_bytes" in values:
            storage.set_quota(actor=actor, channel=obj, quota_bytes=values.pop("quota_bytes"))
        if described:
            channels.update(actor=actor, channel=obj, **described)
        if values:
            channels.change_policies(actor=actor, channel=obj, **values)

    def record(self, request: HttpRequest, what: str, obj: Model, before: Values, now: Values) -> None:
        """Record no event: channels.update() and channels.change_policies() do."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Channel | None = None) -> bool:
        return False


class ReadOnlyAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(ReservedName)
class ReservedNameAdmin(ReadOnlyAdmin):
    list_display = ["name", "last_owners", "created_at"]
    search_fields = ["name"]
    actions = ["free"]

    @admin.display(description="last owners")
    def last_owners(self, reserved: ReservedName) -> str:
        return ", ".join(str(owner) for owner in reserved.owners.all()) or "deleted users"

    @admin.action(description="Free the selected names for everybody")
    def free(self, request: HttpRequest, selected: QuerySet[ReservedName]) -> None:
        for reserved in selected:
            reserved_names.free(name=reserved.name, actor=Actor(user=actors.person(request)))
        self.message_user(request, "The names are free. Their last owners are notified by mail.")


@admin.register(ApiKey)
class ApiKeyAdmin(admin.ModelAdmin):
    list_display = ["name", "hint", "owner", "scopes", "expires_at", "last_used_at", "revoked_at"]
    search_fields = ["name", "owner__username"]
    # Only the name can be changed; the action revokes the key.
    readonly_fields = [
        *("kind", "owner", "robot_of", "hint", "scopes", "all_channels", "channels", "package_globs"),
        *("expires_at", "last_used_at", "revoked_at"),
    ]
    actions = ["revoke"]

    @admin.action(description="Revoke the selected API keys", permissions=["change"])
    def revoke(self, request: HttpRequest, selected: QuerySet[ApiKey]) -> None:
        for key in selected.select_related("robot_of"):
            api_keys.revoke(key=key, actor=Actor(user=actors.person(request)))
        self.message_user(request, "The keys are revoked. Their owners are notified by mail.")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Allow to delete a key only together with its owner.

        Deleted by itself, it would end without a notification of its owner.
        """
        match = request.resolver_match
        return match is not None and "apikey" not in match.view_name


@admin.register(Artifact)
class ArtifactAdmin(ReadOnlyAdmin):
    list_display = ["file_name", "channel", "subdir", "size", "uploaded_by", "quarantine_reason"]
    search_fields = ["file_name", "sha256"]
    list_filter = ["subdir"]

    @admin.display(ordering="size_bytes")
    def size(self, artifact: Artifact) -> str:
        return human_size(artifact.size_bytes)


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ["created_at", "action", "target", "actor", "key", "channel"]
    search_fields = ["target", "action"]
