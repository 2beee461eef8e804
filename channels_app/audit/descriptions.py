"""Audit events in words: a table of actions with one sentence each, and notes on the event's detail."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from channels_app.access.actions import Action
from channels_app.models import AuditEvent, Channel
from hub.sizes import human_size

# The filter's choices: label, and prefixes of the actions.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "": ("Everything", ()),
    "packages": ("Packages", ("artifact.", "import.", "label.", "promotion.")),
    "members": ("Members", ("member.", "invitation.", Action.CHANNEL_TRANSFER)),
    "settings": (
        "Settings",
        (
            "channel.",
            "policy.",
            "publisher.",
            "key.",
            "webhook.",
            "notice.",
            "relation.",
            "patch.",
            "retention.",
            "virtual.",
            "upstream.",
            "watch.",
        ),
    ),
}
# The choices for the activity of the whole hub, which has more kinds.
HUB_KINDS = KINDS | {
    "teams": ("Teams", ("team.",)),
    "accounts": ("Accounts", ("account.", "user.", "oauth.")),
    "administration": ("Administration", ("admin.", "job.")),
}
HUB = "The hub"
DELETED_USER = "Deleted user"


@dataclass(frozen=True, slots=True)
class ActionDisplay:
    """The display of an action: its icon of static/icons.svg, its tone, and a sentence after the actor's name."""

    icon: str
    severity: str
    sentence: str


@dataclass(frozen=True, slots=True)
class ActivityEntry:
    """One event as the page shows it: actor, before, target, after; then the notes."""

    icon: str
    severity: str
    actor: str
    before: str
    target: str
    after: str
    notes: list[str]
    at: datetime
    is_artifact: bool


ACTIONS: dict[str, ActionDisplay] = {
    Action.ARTIFACT_PUBLISH: ActionDisplay("upload", "", "published {target}"),
    Action.ARTIFACT_PROMOTE: ActionDisplay("arrow-left-right", "", "promoted {target}"),
    Action.PROMOTION_REQUEST: ActionDisplay("arrow-left-right", "", "requested promotion {target}"),
    Action.PROMOTION_APPROVE: ActionDisplay("check", "success", "approved promotion {target}"),
    Action.PROMOTION_REFUSE: ActionDisplay("ban", "error", "refused promotion {target}"),
    Action.PROMOTION_ROLL_BACK: ActionDisplay("rotate-ccw", "error", "rolled back promotion {target}"),
    Action.IMPORT_START: ActionDisplay("download", "", "started an import from {target}"),
    Action.IMPORT_END: ActionDisplay("download", "", "ended an import from {target}"),
    Action.ARTIFACT_LABEL: ActionDisplay("tag", "", "changed the labels of {target}"),
    Action.LABEL_CREATE: ActionDisplay("tag", "success", "created the label {target}"),
    Action.LABEL_CHANGE: ActionDisplay("tag", "warning", "changed when the label {target} expires"),
    Action.LABEL_DELETE: ActionDisplay("tag", "error", "deleted the label {target}"),
    Action.LABEL_EXPIRE: ActionDisplay("clock", "error", "deleted the expired label {target}"),
    Action.ARTIFACT_ATTEST: ActionDisplay("shield-check", "", "added an attestation to {target}"),
    Action.ARTIFACT_OVERWRITE: ActionDisplay("rotate-ccw", "warning", "replaced the bytes of {target}"),
    Action.ARTIFACT_SET_ASIDE: ActionDisplay(
        "triangle-alert", "warning", "left {target} out of the index: a client can't read it"
    ),
    Action.ARTIFACT_DAMAGE: ActionDisplay(
        "triangle-alert", "error", "left {target} out of the index: its bytes are damaged"
    ),
    Action.ARTIFACT_MEND: ActionDisplay(
        "rotate-ccw", "success", "put {target} back into the index: its bytes are intact again"
    ),
    Action.ARTIFACT_ADOPT: ActionDisplay("upload", "", "took in {target}, which was found in the store"),
    Action.ARTIFACT_IMPORT: ActionDisplay("upload", "", "imported {target}"),
    Action.ARTIFACT_YANK: ActionDisplay("ban", "error", "yanked {target}"),
    Action.ARTIFACT_DELETE: ActionDisplay("trash-2", "error", "deleted {target}"),
    Action.ARTIFACT_RESTORE: ActionDisplay("rotate-ccw", "success", "put {target} back into the index"),
    Action.ARTIFACT_RELEASE: ActionDisplay("tag", "warning", "released the name {target} for other bytes"),
    Action.MEMBER_ADD: ActionDisplay("users", "success", "added {target} as {role}"),
    Action.MEMBER_CHANGE: ActionDisplay("users", "warning", "changed {target} from {from} to {to}"),
    Action.MEMBER_REMOVE: ActionDisplay("users", "error", "removed {target}, who was {role}"),
    Action.MEMBER_LEAVE: ActionDisplay("log-out", "", "left the channel, where they were {role}"),
    Action.INVITATION_SEND: ActionDisplay("mail", "", "invited {target} as {role}"),
    Action.INVITATION_WITHDRAW: ActionDisplay("mail", "error", "withdrew the invitation of {target} as {role}"),
    Action.INVITATION_ACCEPT: ActionDisplay("users", "success", "accepted an invitation and is {role}"),
    Action.INVITATION_DECLINE: ActionDisplay("mail", "", "declined the invitation of {target} as {role}"),
    Action.CHANNEL_CREATE: ActionDisplay("plus", "success", "created the channel"),
    Action.CHANNEL_UPDATE: ActionDisplay("settings", "", "changed the channel"),
    Action.CHANNEL_TRANSFER: ActionDisplay("arrow-left-right", "warning", "transferred the channel to {target}"),
    Action.CHANNEL_DELETE: ActionDisplay("trash-2", "error", "deleted the channel"),
    Action.CHANNEL_RESTORE: ActionDisplay("rotate-ccw", "success", "restored the channel"),
    Action.CHANNEL_REPAIR: ActionDisplay(
        "rotate-ccw", "warning", "repaired differences between database, index and store"
    ),
    Action.CHANNEL_DIFFER: ActionDisplay(
        "triangle-alert", "error", "found differences between database, index and store"
    ),
    Action.CHANNEL_FREE_NAME: ActionDisplay("tag", "warning", "made the channel name {target} available to everybody"),
    Action.CHANNEL_PURGE: ActionDisplay("trash-2", "error", "purged the channel {target}"),
    Action.CHANNEL_QUOTA: ActionDisplay("layers", "warning", "changed the storage quota"),
    Action.CHANNEL_NEARLY_FULL: ActionDisplay("triangle-alert", "warning", "warned that the channel is nearly full"),
    Action.POLICY_CHANGE: ActionDisplay("sliders-horizontal", "warning", "changed the policies"),
    Action.PUBLISHER_ADD: ActionDisplay("shield-check", "warning", "added the trusted publisher {target}"),
    Action.PUBLISHER_REMOVE: ActionDisplay("shield-check", "error", "removed the trusted publisher {target}"),
    Action.PUBLISHER_BIND: ActionDisplay(
        "shield-check", "", "moved the pending trusted publisher {target} to the channel"
    ),
    Action.PUBLISHER_END: ActionDisplay("shield-check", "error", "ended the pending trusted publisher {target}"),
    Action.PUBLISHER_FIRST_USE: ActionDisplay("lock", "success", "pinned {target} at its first use"),
    Action.PUBLISHER_REFUSE: ActionDisplay("triangle-alert", "error", "refused {target}: its stable id has changed"),
    Action.WEBHOOK_ADD: ActionDisplay("webhook", "warning", "added the webhook {target}"),
    Action.WEBHOOK_CHANGE: ActionDisplay("webhook", "warning", "changed the webhook {target}"),
    Action.WEBHOOK_REMOVE: ActionDisplay("webhook", "error", "removed the webhook {target}"),
    Action.WEBHOOK_SWITCH_OFF: ActionDisplay("triangle-alert", "error", "switched the failing webhook {target} off"),
    Action.PATCH_ADD: ActionDisplay("sliders-horizontal", "warning", "added the patch {target}"),
    Action.PATCH_CHANGE: ActionDisplay("sliders-horizontal", "warning", "changed the patch {target}"),
    Action.PATCH_IMPORT: ActionDisplay("upload", "warning", "imported patches from {target}"),
    Action.PATCH_UNDO: ActionDisplay("rotate-ccw", "warning", "undid the patch {target}"),
    Action.PATCH_APPLY: ActionDisplay("sliders-horizontal", "warning", "applied the patch {target} again"),
    Action.NOTICE_ADD: ActionDisplay("info", "", "added a notice"),
    Action.NOTICE_CHANGE: ActionDisplay("info", "", "changed a notice"),
    Action.NOTICE_REMOVE: ActionDisplay("info", "", "removed a notice"),
    Action.RELATION_CHANGE: ActionDisplay("layers", "warning", "changed the related channels"),
    Action.VIRTUAL_CHANGE: ActionDisplay("layers", "warning", "changed the member channels or name rules"),
    Action.RETENTION_ADD: ActionDisplay("clock", "warning", "added the retention rule {target}"),
    Action.RETENTION_CHANGE: ActionDisplay("clock", "warning", "changed the retention rule {target}"),
    Action.RETENTION_REMOVE: ActionDisplay("clock", "error", "removed the retention rule {target}"),
    Action.RETENTION_RUN: ActionDisplay("clock", "warning", "applied the retention rules"),
    Action.UPSTREAM_ADD: ActionDisplay("layers", "success", "created the upstream channel {target}"),
    Action.WATCH_CHANGE: ActionDisplay("activity", "warning", "turned the watch of the store {target}"),
    Action.UPSTREAM_CHANGE: ActionDisplay("layers", "warning", "changed the upstream"),
    Action.UPSTREAM_ACCEPT: ActionDisplay("check", "warning", "accepted the changed package {target}"),
    Action.UPSTREAM_HOLD: ActionDisplay(
        "triangle-alert", "warning", "held back records of {target} whose SHA-256 had changed"
    ),
    Action.TEAM_CREATE: ActionDisplay("users", "success", "created the team {target}"),
    Action.TEAM_UPDATE: ActionDisplay("users", "", "changed the team {target}"),
    Action.TEAM_DELETE: ActionDisplay("users", "error", "deleted the team {target}"),
    Action.TEAM_ADD: ActionDisplay("users", "success", "added {user} to the team {target}"),
    Action.TEAM_INVITE: ActionDisplay("mail", "", "invited {user} to the team {target}"),
    Action.TEAM_WITHDRAW: ActionDisplay("mail", "error", "withdrew the invitation of {user} to the team {target}"),
    Action.TEAM_DECLINE: ActionDisplay("mail", "", "declined an invitation to the team {target}"),
    Action.TEAM_REMOVE: ActionDisplay("users", "error", "removed {user} from the team {target}"),
    Action.TEAM_MANAGER: ActionDisplay("users", "warning", "changed whether {user} manages the team {target}"),
    Action.KEY_CREATE: ActionDisplay("key-round", "warning", "created the API key {target}"),
    Action.KEY_REVOKE: ActionDisplay("key-round", "error", "revoked the API key {target}"),
    Action.KEY_EXPIRES: ActionDisplay("clock", "warning", "notified the owners that the API key {target} expires soon"),
    Action.KEY_MINT: ActionDisplay("key-round", "", "got a short-lived token"),
    Action.ACCOUNT_SIGN_IN: ActionDisplay("log-in", "", "signed in"),
    Action.ACCOUNT_NEW_DEVICE: ActionDisplay("log-in", "warning", "signed in from a new device"),
    Action.ACCOUNT_SIGN_IN_FAILED: ActionDisplay("circle-x", "error", "could not sign in: wrong password"),
    Action.ACCOUNT_TRIED_OFTEN: ActionDisplay(
        "circle-x", "error", "was notified of repeated wrong passwords for the account"
    ),
    Action.ACCOUNT_EMAIL: ActionDisplay("mail", "warning", "changed the e-mail address to {target}"),
    Action.ACCOUNT_PASSWORD: ActionDisplay("lock", "warning", "changed the password"),
    Action.ACCOUNT_FACTOR_ADD: ActionDisplay("shield-check", "success", "added {target} as a second factor"),
    Action.ACCOUNT_FACTOR_REMOVE: ActionDisplay("shield-check", "error", "removed {target} as a second factor"),
    Action.ACCOUNT_FACTOR_RESET: ActionDisplay("rotate-ccw", "warning", "generated new recovery codes"),
    Action.ACCOUNT_RECOVERY_CODE: ActionDisplay("key-round", "warning", "signed in with a recovery code"),
    Action.ACCOUNT_CONNECT: ActionDisplay("log-in", "success", "connected an account of {target}"),
    Action.ACCOUNT_DISCONNECT: ActionDisplay("log-out", "error", "disconnected the account of {target}"),
    Action.USER_FACTORS_REMOVE: ActionDisplay("shield-check", "error", "removed the second factors of {target}"),
    Action.USER_ADD: ActionDisplay("user-round", "success", "created the account {target}"),
    Action.USER_CHANGE: ActionDisplay("user-round", "warning", "changed the account {target}"),
    Action.USER_DELETE: ActionDisplay("user-round", "error", "deleted the account {target}"),
    Action.ADMIN_ADD: ActionDisplay("plus", "success", "added in the administration: {target}"),
    Action.ADMIN_CHANGE: ActionDisplay("settings", "warning", "changed in the administration: {target}"),
    Action.ADMIN_DELETE: ActionDisplay("trash-2", "error", "deleted in the administration: {target}"),
    Action.JOB_RETRY: ActionDisplay("rotate-ccw", "", "retried the failed job {target}"),
    Action.JOB_DISMISS: ActionDisplay("check", "", "dismissed the failed job {target}"),
    Action.OAUTH_GRANT: ActionDisplay("terminal", "success", "authorized {target}"),
    Action.OAUTH_REVOKE: ActionDisplay("terminal", "error", "revoked the access of {target}"),
}
# Actions of the hub itself, for events from before the log stated `by`. Other such events belong to deleted users.
OF_THE_HUB = {
    *(Action.ARTIFACT_SET_ASIDE, Action.ARTIFACT_DAMAGE, Action.ARTIFACT_MEND),
    *(Action.ARTIFACT_IMPORT, Action.ARTIFACT_ADOPT),
    *(
        Action.CHANNEL_NEARLY_FULL,
        Action.CHANNEL_REPAIR,
        Action.CHANNEL_DIFFER,
        Action.CHANNEL_FREE_NAME,
        Action.CHANNEL_PURGE,
        Action.KEY_EXPIRES,
    ),
    *(Action.PUBLISHER_END, Action.PUBLISHER_FIRST_USE, Action.PUBLISHER_REFUSE, Action.USER_FACTORS_REMOVE),
    *(Action.LABEL_EXPIRE, Action.RETENTION_RUN, Action.WEBHOOK_SWITCH_OFF),
    *(Action.IMPORT_END, Action.UPSTREAM_HOLD),
}

# Filters of an event's detail have so many texts at most.
LISTED = 20
# Keys of an event's detail that hold pairs of name and value.
PAIRS = ("fields", "pins")

FIELDS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "is_private": ("Visibility", lambda value: "private" if value else "public"),
    "description": ("Description", lambda value: f"“{value}”" if value else "none"),
    "logo": ("Logo", str),
    "allow_overwrite": ("Overwriting", lambda value: "on" if value else "off"),
    "allow_revision_3": ("Repodata revision 3", lambda value: "on" if value else "off"),
    "only_trusted_publishers": ("Only trusted publishers", lambda value: "on" if value else "off"),
    "require_attestation": ("Attestation required", lambda value: "on" if value else "off"),
    "labels": ("Labels", lambda value: ", ".join(value) or "none"),
    "removal": ("State", lambda value: str(value) or "in the index"),
    "max_upload_bytes": ("Largest package", lambda value: human_size(value) if value else "the hub's limit"),
    "quota_bytes": ("Storage quota", lambda value: _quota(value)),
    "cooldown_days": ("Days of cooldown", str),
    "exceptions": ("Names without a cooldown", lambda value: ", ".join(map(" ".join, value)) or "none"),
    "accepted_sha256": ("SHA-256", str),
    "poll_minutes": ("Minutes between polls", str),
    "max_cached_bytes": ("Size of the cache", human_size),
    "include": ("Only packages", lambda value: _listed(value)),
    "exclude": ("Not packages", lambda value: _listed(value)),
    "licenses": ("Only licences", lambda value: _listed(value)),
    "excluded_licenses": ("Not licences", lambda value: _listed(value)),
    "max_age_days": ("Days until records are hidden", lambda value: str(value or "none")),
    "newest_versions": ("Newest versions", lambda value: str(value or "all")),
}


def entry(event: AuditEvent, channel: Channel | None = None) -> ActivityEntry:
    """Describe an event of `channel` or of an account.

    An action that is not in the table is shown by its name.
    """
    words = ACTIONS.get(event.action) or ActionDisplay("activity", "", f"{event.action.replace('.', ': ')} {{target}}")
    before, has_target, after = words.sentence.partition("{target}")
    return ActivityEntry(
        icon=words.icon,
        severity=words.severity,
        actor=_actor(event),
        before=_filled(before, event.detail),
        target=event.target.removeprefix(f"{channel}/") if has_target else "",
        after=_filled(after, event.detail),
        notes=_notes(event),
        at=event.created_at,
        is_artifact=event.action.startswith("artifact."),
    )


def _actor(event: AuditEvent) -> str:
    if event.actor:
        return event.actor.username
    return event.detail.get("by") or (HUB if event.action in OF_THE_HUB else DELETED_USER)


def _filled(text: str, detail: dict[str, Any]) -> str:
    for name in ("role", "from", "to"):
        text = text.replace(f"{{{name}}}", _role(detail.get(name)))
    return text.replace("{user}", str(detail.get("user", "")))


def _listed(texts: list[str] | None) -> str:
    """Return the first texts of a list that may have hundreds."""
    found = texts or ["none"]
    return ", ".join(found[:LISTED]) + _more(len(found) - LISTED)


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


def _quota(quota_bytes: int | None) -> str:
    return "the hub's default" if quota_bytes is None else human_size(quota_bytes) if quota_bytes else "no limit"


def _role(role: object) -> str:
    return f"an {role}" if role == "owner" else f"a {role or 'member'}"


def _notes(event: AuditEvent) -> list[str]:
    detail = event.detail
    # In the order of FIELDS: PostgreSQL does not keep the order of JSON keys.
    notes = [_change(name, detail[name]) for name in FIELDS if name in detail]
    notes += [f"{name}: {_from_to(change)}" for name, change in sorted(detail.get("changes", {}).items())]
    if "network" in detail:
        notes.append(f"{detail['agent'] or 'Unknown browser'}, from {detail['network']}")
    if detail.get("before"):
        notes.append(f"Before: {detail['before']}")
    notes += [f"{name}: {value}" for group in PAIRS for name, value in sorted(detail.get(group, {}).items()) if value]
    if "size_bytes" in detail:
        notes.append(f"{human_size(detail['size_bytes'])}, SHA-256 {str(detail.get('sha256', 'unknown'))[:16]}…")
    if "number" in detail:
        files = detail["files"].split(", ")
        notes.append(f"Files: {', '.join(files)}" + _more(detail["number"] - len(files)))
    if "stored_bytes" in detail:
        notes.append(f"{human_size(detail['stored_bytes'])} of {human_size(detail['limit_bytes'])}")
    if "import" in detail and "state" in detail:
        files, refused = detail["files"], detail["refused"]
        notes.append(f"Import {detail['import']} is {detail['state']}: {files:,} imported, {refused:,} refused")
    if "source" in detail:
        notes.append(f"From {detail['source']}, promotion {detail['promotion']}")
    if detail.get("reason"):
        notes.append(f"Reason: {detail['reason']}")
    if detail.get("more"):
        notes.append(f"Together with {detail['more']} more")
    if "expected" in detail:
        notes.append(f"Expected {detail['expected']}, found {detail['found'] or 'none'}")
    if event.key and event.actor:
        notes.append(f"With the key “{event.key.name}”")
    if "application" in detail:
        notes.append(f"Via {detail['application']}")
    return notes


def _from_to(change: dict[str, Any]) -> str:
    """Describe the change of a field in the admin site. Hidden values look the same before and after."""
    before, now = change.get("from") or "none", change.get("to") or "none"
    return "changed" if before == now else f"{before} → {now}"


def _change(name: str, change: dict[str, Any]) -> str:
    label, in_words = FIELDS[name]
    if "from" not in change:
        return f"{label}: {in_words(change.get('to'))}"
    return f"{label}: {in_words(change['from'])} → {in_words(change.get('to'))}"
