"""Audit events in words: a table of actions, each one sentence, and what its detail says."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from channels_app.models import AuditEvent, Channel
from hub import sizes

# What can be asked for, and how its actions begin.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "": ("Everything", ()),
    "packages": ("Packages", ("artifact.",)),
    "members": ("Members", ("member.", "invitation.", "channel.transfer")),
    "settings": ("Settings", ("channel.", "policy.", "publisher.", "key.")),
}
HUB = "The hub"
NOBODY = "Somebody whose account is gone"


@dataclass(frozen=True, slots=True)
class Words:
    """An action's icon of static/icons.svg, its tone, and its sentence after the name of who did it."""

    icon: str
    tone: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One event as the page shows it: actor, before, target, after; then the notes."""

    icon: str
    tone: str
    actor: str
    before: str
    target: str
    after: str
    notes: list[str]
    at: datetime
    is_artifact: bool


ACTIONS = {
    "artifact.publish": Words("upload", "", "published {target}"),
    "artifact.attest": Words("shield-check", "", "added an attestation to {target}"),
    "artifact.overwrite": Words("rotate-ccw", "warning", "replaced the bytes of {target}"),
    "artifact.set_aside": Words("triangle-alert", "warning", "left {target} out of the index: a client can't read it"),
    "artifact.damage": Words("triangle-alert", "error", "left {target} out of the index: its bytes are damaged"),
    "artifact.mend": Words("rotate-ccw", "success", "put {target} back into the index: its bytes are right again"),
    "artifact.import": Words("upload", "", "took {target} in from the store"),
    "artifact.yank": Words("ban", "error", "yanked {target}"),
    "artifact.delete": Words("trash-2", "error", "deleted {target}"),
    "artifact.restore": Words("rotate-ccw", "success", "put {target} back into the index"),
    "artifact.release": Words("tag", "warning", "released the name {target} for other bytes"),
    "member.add": Words("users", "success", "added {target} as {role}"),
    "member.change": Words("users", "warning", "made {target} {to}, before {from}"),
    "member.remove": Words("users", "error", "removed {target}, who was {role}"),
    "member.leave": Words("log-out", "", "left the channel and was {role}"),
    "invitation.send": Words("mail", "", "invited {target} as {role}"),
    "invitation.withdraw": Words("mail", "error", "withdrew the invitation of {target} as {role}"),
    "invitation.accept": Words("users", "success", "accepted an invitation and is {role}"),
    "invitation.decline": Words("mail", "", "declined the invitation of {target} as {role}"),
    "channel.create": Words("plus", "success", "made this channel"),
    "channel.update": Words("settings", "", "changed the channel"),
    "channel.transfer": Words("arrow-left-right", "warning", "handed the channel to {target}"),
    "channel.delete": Words("trash-2", "error", "deleted the channel"),
    "channel.restore": Words("rotate-ccw", "success", "restored the channel"),
    "channel.repair": Words("rotate-ccw", "warning", "repaired what differed between database, index and store"),
    "channel.differ": Words("triangle-alert", "error", "found differences between database, index and store"),
    "channel.free_name": Words("tag", "warning", "let everybody use the channel's name {target}"),
    "policy.change": Words("sliders-horizontal", "warning", "changed the policies"),
    "publisher.add": Words("shield-check", "warning", "added the trusted publisher {target}"),
    "publisher.remove": Words("shield-check", "error", "removed the trusted publisher {target}"),
    "publisher.bind": Words("shield-check", "", "moved the pending trusted publisher {target} to the channel"),
    "publisher.end": Words("shield-check", "error", "ended the pending trusted publisher {target}"),
    "publisher.first_use": Words("lock", "success", "pinned {target} at its first use"),
    "publisher.refuse": Words("triangle-alert", "error", "refused {target}: its stable id is another one now"),
    "team.create": Words("users", "success", "made the team {target}"),
    "team.update": Words("users", "", "changed the team {target}"),
    "team.delete": Words("users", "error", "deleted the team {target}"),
    "team.add": Words("users", "success", "added {user} to the team {target}"),
    "team.invite": Words("mail", "", "invited {user} to the team {target}"),
    "team.withdraw": Words("mail", "error", "withdrew the invitation of {user} to the team {target}"),
    "team.decline": Words("mail", "", "declined an invitation to the team {target}"),
    "team.remove": Words("users", "error", "took {user} out of the team {target}"),
    "team.manager": Words("users", "warning", "changed whether {user} manages the team {target}"),
    "key.create": Words("key-round", "warning", "made the API key {target}"),
    "key.revoke": Words("key-round", "error", "revoked the API key {target}"),
    "key.expires": Words("clock", "warning", "told the owners that the API key {target} expires soon"),
    "key.mint": Words("key-round", "", "got a key for minutes"),
    "account.sign_in": Words("log-in", "", "signed in"),
    "account.new_device": Words("log-in", "warning", "signed in from a new device"),
    "account.sign_in_failed": Words("circle-x", "error", "could not sign in: a wrong password"),
    "account.tried_often": Words("circle-x", "error", "was told that somebody tries passwords for the account"),
    "account.email": Words("mail", "warning", "changed the e-mail address to {target}"),
    "account.password": Words("lock", "warning", "changed the password"),
    "account.factor_add": Words("shield-check", "success", "added {target} as a second factor"),
    "account.factor_remove": Words("shield-check", "error", "removed {target} as a second factor"),
    "account.factor_reset": Words("rotate-ccw", "warning", "made new recovery codes"),
    "account.recovery_code": Words("key-round", "warning", "signed in with a recovery code"),
    "account.connect": Words("log-in", "success", "connected an account of {target}"),
    "account.disconnect": Words("log-out", "error", "disconnected the account of {target}"),
    "user.factors_remove": Words("shield-check", "error", "removed the second factors of {target}"),
    "user.add": Words("user-round", "success", "made the account {target}"),
    "user.change": Words("user-round", "warning", "changed the account {target}"),
    "user.delete": Words("user-round", "error", "deleted the account {target}"),
    "admin.add": Words("plus", "success", "added in the administration: {target}"),
    "admin.change": Words("settings", "warning", "changed in the administration: {target}"),
    "admin.delete": Words("trash-2", "error", "deleted in the administration: {target}"),
    "job.retry": Words("rotate-ccw", "", "sent the failed job {target} again"),
    "job.put_away": Words("check", "", "put away the failed job {target}"),
    "oauth.grant": Words("terminal", "success", "let {target} in"),
    "oauth.revoke": Words("terminal", "error", "shut {target} out"),
}
# Where an event without an actor was nobody's, not that of a deleted account.
OF_THE_HUB = {
    *("artifact.set_aside", "artifact.damage", "artifact.mend", "artifact.import", "channel.repair", "channel.differ"),
    *("channel.free_name", "key.expires", "publisher.end", "publisher.first_use", "publisher.refuse"),
    "user.factors_remove",
}

# What an event's detail has as name → value.
PAIRS = ("fields", "pins")

FIELDS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "is_private": ("Visibility", lambda value: "private" if value else "public"),
    "description": ("Description", lambda value: f"“{value}”" if value else "none"),
    "logo": ("Logo", str),
    "allow_overwrite": ("Overwriting", lambda value: "on" if value else "off"),
    "allow_revision_3": ("Repodata revision 3", lambda value: "on" if value else "off"),
    "only_trusted_publishers": ("Only trusted publishers", lambda value: "on" if value else "off"),
    "require_attestation": ("Attestation required", lambda value: "on" if value else "off"),
    "removal": ("State", lambda value: str(value) or "in the index"),
    "max_upload_bytes": ("Largest package", lambda value: sizes.in_words(value) if value else "the hub's limit"),
}


def entry(event: AuditEvent, channel: Channel | None = None) -> Entry:
    """An event of `channel`, or of an account, in words; an action that is not in the table is shown by its name."""
    words = ACTIONS.get(event.action) or Words("activity", "", f"{event.action.replace('.', ': ')} {{target}}")
    before, has_target, after = words.sentence.partition("{target}")
    return Entry(
        icon=words.icon,
        tone=words.tone,
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
    return event.detail.get("by") or (HUB if event.action in OF_THE_HUB else NOBODY)


def _filled(text: str, detail: dict[str, Any]) -> str:
    for name in ("role", "from", "to"):
        text = text.replace(f"{{{name}}}", _role(detail.get(name)))
    return text.replace("{user}", str(detail.get("user", "")))


def _role(role: object) -> str:
    return f"an {role}" if role == "owner" else f"a {role or 'member'}"


def _notes(event: AuditEvent) -> list[str]:
    detail = event.detail
    # In the order of FIELDS: PostgreSQL keeps none.
    notes = [_change(name, detail[name]) for name in FIELDS if name in detail]
    notes += [f"{name}: {_from_to(change)}" for name, change in sorted(detail.get("changes", {}).items())]
    if "network" in detail:
        notes.append(f"{detail['agent'] or 'A browser without a name'}, from {detail['network']}")
    if detail.get("before"):
        notes.append(f"Before: {detail['before']}")
    notes += [f"{name}: {value}" for group in PAIRS for name, value in sorted(detail.get(group, {}).items()) if value]
    if "size_bytes" in detail:
        notes.append(f"{sizes.in_words(detail['size_bytes'])}, SHA-256 {str(detail.get('sha256', 'unknown'))[:16]}…")
    if detail.get("reason"):
        notes.append(f"Reason: {detail['reason']}")
    if "expected" in detail:
        notes.append(f"Expected {detail['expected']}, found {detail['found'] or 'none'}")
    if event.key and event.actor:
        notes.append(f"With the key “{event.key.name}”")
    if "application" in detail:
        notes.append(f"By way of {detail['application']}")
    return notes


def _from_to(change: dict[str, Any]) -> str:
    """A field that the administration has changed; a hidden one that differs says only that."""
    before, now = change.get("from") or "none", change.get("to") or "none"
    return "another" if before == now else f"{before} → {now}"


def _change(name: str, change: dict[str, Any]) -> str:
    label, in_words = FIELDS[name]
    if "from" not in change:
        return f"{label}: {in_words(change.get('to'))}"
    return f"{label}: {in_words(change['from'])} → {in_words(change.get('to'))}"
