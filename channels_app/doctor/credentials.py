"""Findings about a credential: its kind, owner and state, and its permissions in a channel."""

from django.utils import timezone

from channels_app.access import permissions
from channels_app.access.permissions import ANONYMOUS, Actor, Permission
from channels_app.authentication import actors, api_keys, placeholders
from channels_app.doctor.findings import Finding, error, info, success
from channels_app.models import ApiKey, Channel, KeyKind
from hub.errors import HubError

NEW_KEY = "Create a new key, and replace this one by it."


def examine(secret: str) -> tuple[Finding, Actor | None]:
    """Describe a credential, and return its actor if it is valid."""
    if kind := placeholders.kind(secret):
        return _no_key(kind, secret), None
    if not secret.startswith(api_keys.PREFIX):
        return _token(secret)
    if not api_keys.has_shape(secret):
        length = len(api_keys.PREFIX) + api_keys.RANDOM_CHARACTERS + api_keys.CHECKSUM_CHARACTERS
        return error(
            f"The key is damaged: its checksum does not fit. It has {len(secret)} characters; a key has {length}.",
            "Was it cut off when it was copied? Otherwise create a new key: a key is shown only once.",
        ), None
    return _describe_key(api_keys.look_up_any(secret))


def rights(actor: Actor, name: str, needed: str) -> list[Finding]:
    """Describe the permissions of `actor` in the channel `name`, first of all the permission `needed`."""
    permission = Permission(needed)
    try:
        channel = permissions.channel_for(actor, name, permission)
    except HubError as refusal:
        return [_narrowed(actor, name, permission) or error(refusal.detail, "")]
    if needed == Permission.UPLOAD and channel.only_trusted_publishers and not actor.short_lived_token:
        return [error(f"Only trusted publishers may upload to {name}.", "Its owners can change that, under Policies.")]
    who = "of everybody" if actor == ANONYMOUS else "of this credential"
    findings = [success(f"Permissions {who} in {name}: {allowed(actor, name)}.")]
    if actor.key and actor.key.package_globs and needed == Permission.UPLOAD:
        findings.append(info(f"It may only upload packages named {', '.join(actor.key.package_globs)}."))
    return findings


def allowed(actor: Actor, name: str) -> str:
    """List the permissions of `actor` in the channel `name`; empty if there is no such channel."""
    channel = Channel.objects.filter(name=name, deleted_at=None).first()
    return ", ".join(permissions.sorted_permissions(actor, channel))


def _no_key(kind: str, text: str) -> Finding:
    """Describe a text that was sent instead of a key.

    `kind` is one of channels_app.authentication.placeholders. The text is not secret.
    """
    match kind:
        case "variable":
            return info(f"The key comes from {text}.", "Check that it is set where the command runs.")
        case "empty":
            return error("The key is empty.", "Is the variable that holds it set where the command runs?")
        case "unset":
            return error(f"“{text}” is an unset value, not a key.", "Set the variable or secret that holds the key.")
        case "hidden":
            return error("The key is masked: it was replaced by stars or dots.", "Use the key itself.")
        case "quoted":
            return error("The key has quotes or brackets around it.", "Send the key without them.")
        case "prefixed":
            return error("Another word precedes the key.", "Use the key alone.")
    return error("This is a placeholder from an example.", "Replace it by your own key.")


def _token(secret: str) -> tuple[Finding, Actor | None]:
    """Describe an application's token, if it is one."""
    token = actors.live_token(secret)
    if token is None:
        return error(
            f"This is not a key of this hub: its keys begin with “{api_keys.PREFIX}”.",
            "It may be a key of another hub, or an expired token of an application. For a token, log in again.",
        ), None
    name = token.client.name if token.client else "an application"
    scopes = ", ".join(permissions.channel_scopes(token))
    return success(
        f"This is a token of {name}, for {token.user}.", f"It is for: {scopes or 'signing in only'}."
    ), Actor(user=token.user, token=token)


def _describe_key(key: ApiKey | None) -> tuple[Finding, Actor | None]:
    """Describe the state of a key. Its holder may know it."""
    if key is None:
        return error(
            "The key has the right form, but this hub does not know it.", f"It may be a key of another hub. {NEW_KEY}"
        ), None
    if key.revoked_at:
        return error(f"{_name(key)} was revoked on {key.revoked_at:%d %B %Y}.", NEW_KEY), None
    if key.expires_at and key.expires_at <= timezone.now():
        return error(f"{_name(key)} expired on {key.expires_at:%d %B %Y}.", NEW_KEY), None
    if key.owner and not key.owner.is_active:
        return error(f"{_name(key)} belongs to a deactivated user.", "An administrator can reactivate them."), None
    until = f"until {key.expires_at:%d %B %Y}" if key.expires_at else "and does not expire"
    return success(f"{_name(key)} is valid {until}.", f"It is for: {', '.join(key.scopes)}."), Actor(
        user=key.owner, key=key
    )


def _name(key: ApiKey) -> str:
    if key.kind == KeyKind.SHORT_LIVED:
        return f"The short-lived token of {key.name}"
    return f"The key “{key.name}” of {key.owner or key.robot_of}"


def _narrowed(actor: Actor, name: str, permission: Permission) -> Finding | None:
    """Find a limit of the key itself that denies the permission.

    It does not look at the channel, so it reveals no private channel.
    """
    key = actor.key
    if key is None or actor.short_lived_token:
        return None
    if permission not in key.scopes:
        scopes = ", ".join(key.scopes)
        return error(f"The key is for {scopes}; this needs the scope {permission}.", "Create a key that has it.")
    channels = [str(key.robot_of)] if key.robot_of else [str(each) for each in key.channels.all()]
    if not key.all_channels and name not in channels:
        listed = ", ".join(channels) or "a deleted channel"
        return error(f"The key is for {listed}, not for {name}.", "Create one for that channel, or for all channels.")
    return None
