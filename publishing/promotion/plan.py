"""Checks of a promotion: how each file changes the target, or why it is refused.

A promotion is an upload whose bytes are in the store already, so it obeys every rule of an upload.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from channels_app.access.permissions import Actor, Permission, check_name, check_still_allowed, permissions
from channels_app.identifiers import MAIN_LABEL
from channels_app.models import Artifact, Channel, Removal
from channels_app.packages.queries import HEAVY
from hub.errors import HubError, conflict, forbidden, too_large, unprocessable
from hub.http.request_body import ReceivedFile
from hub.sizes import human_size
from publishing.archive.reader import PackageInfo
from publishing.attestations import promoted
from publishing.index import active_patches, patching
from publishing.labels import artifact_labels, queries
from publishing.labels.edits import Names
from publishing.models import PUBLISHED
from publishing.models import PromotedFileChange as Change
from publishing.promotion import rules
from publishing.uploads.existing_artifacts import check_duplicate
from publishing.uploads.policies import check_force, check_revision, check_uploader
from publishing.uploads.values import Upload

Place = tuple[str, str]
STAYS_BEHIND = "Its attestation names another channel (targetChannel) and stays behind: clients would refuse it."
GOES_ALONG = "Its attestation names another channel (targetChannel) and goes along: clients that compare it refuse it."


@dataclass(frozen=True, slots=True)
class Wanted:
    """A wanted promotion. `may_restore` is False for a browser session that must sign in again first."""

    actor: Actor
    source: Channel
    target: Channel
    is_move: bool = False
    replaces: bool = False
    may_restore: bool = True
    label: str = MAIN_LABEL


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """An artifact of the source, the one of the target with its file name, and the change or the refusal.

    `note` has sentences about attestations and patches, or is empty.
    """

    artifact: Artifact
    existing: Artifact | None
    change: Change | None = None
    refusal: HubError | None = None
    note: str = ""

    @property
    def is_published(self) -> bool:
        """Tell whether the target gets the bytes."""
        return self.change in PUBLISHED

    @property
    def more_bytes(self) -> int:
        """Return the bytes that the target's stored bytes grow by."""
        is_stored = self.existing is not None and not self.existing.is_purged
        return self.artifact.size_bytes - (self.existing.size_bytes if self.existing and is_stored else 0)


def check_rights(wanted: Wanted) -> None:
    """Raise HubError unless the actor may read the source and upload to the target; for a move, also delete."""
    if wanted.source == wanted.target:
        raise unprocessable("same_channel", f"The files are in '{wanted.target}' already; name another channel.")
    check_still_allowed(wanted.actor, wanted.source, Permission.READ)
    check_still_allowed(wanted.actor, wanted.target, Permission.UPLOAD)
    rules.check(wanted.actor, wanted.source, wanted.target)
    if wanted.is_move:
        check_still_allowed(wanted.actor, wanted.source, Permission.DELETE)
    check_force(wanted.actor, wanted.target, wanted.replaces)


def check_can_see(actor: Actor, source: Channel) -> None:
    """Raise HubError 403 if the source of a promotion is hidden from the actor. The refusal does not name it."""
    if not permissions(actor, source):
        raise forbidden(
            "source_hidden",
            "You can't see the channel that the files came from. Ask one of its members to do this.",
        )


def plan(wanted: Wanted, artifacts: Sequence[Artifact], *, locked: bool = False) -> list[PlannedFile]:
    """Return the planned change of each artifact. `locked`: lock the rows of the target until the transaction ends."""
    existing = _existing(wanted.target, artifacts, locked=locked)
    rule = rules.rule_of(wanted.source, wanted.target)
    names = {artifact.package.name for artifact in artifacts}
    checks = _Checks(
        refused_names=_refused_names(wanted, names, has_rule=rule is not None),
        lasting=promoted.with_lasting(artifacts, wanted.target),
        keeps_attestations=rule is not None and rule.keeps_attestations,
        has_rule=rule is not None,
        labels=queries.names_of(existing.values()),
    )
    return [_planned(wanted, artifact, existing.get(_place(artifact)), checks) for artifact in artifacts]


def with_patches_noted(wanted: Wanted, planned: Sequence[PlannedFile]) -> list[PlannedFile]:
    """Note at each file that patches of the source stay behind, unless the target has the same patches."""
    patched = _patched(wanted, [each.artifact for each in planned if each.is_published])
    note = f"Patches of '{wanted.source}' change its record and stay behind. Patch it in '{wanted.target}', too."
    return [
        replace(each, note=f"{each.note} {note}".strip()) if each.artifact.pk in patched else each for each in planned
    ]


def fingerprint(planned: Sequence[PlannedFile]) -> str:
    """Return a hash of the files with their bytes and changes, by which a promotion recognises another preview."""
    lines = [
        f"{each.artifact} {each.artifact.sha256} {each.change} {each.existing and each.existing.sha256}"
        for each in planned
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Checks:
    """The facts about all files that their checks need.

    `lasting`: ids of those with an attestation that holds. `labels`: id → labels, of those of the target.
    """

    refused_names: Mapping[str, HubError]
    lasting: set[int]
    keeps_attestations: bool
    has_rule: bool
    labels: Mapping[int, Names]

    def lacks_attestation(self, artifact: Artifact) -> bool:
        """Tell whether the artifact arrives in the target without an attestation that counts there.

        Publishers of the source made it, whom the target does not know: it counts if a rule trusts the source.
        """
        goes_along = self.keeps_attestations and artifact.attestations_sha256
        return not self.has_rule or not (goes_along or artifact.pk in self.lasting)

    def note(self, artifact: Artifact) -> str:
        """Return a sentence about attestations that do not hold in the target."""
        if not artifact.attestations_sha256 or artifact.pk in self.lasting:
            return ""
        return GOES_ALONG if self.keeps_attestations else STAYS_BEHIND


def _planned(wanted: Wanted, artifact: Artifact, existing: Artifact | None, checks: _Checks) -> PlannedFile:
    try:
        if refusal := checks.refused_names.get(artifact.package.name):
            raise refusal
        _check_file(wanted.target, artifact)
        change = _change(wanted, artifact, existing, checks.labels)
        is_published = change in PUBLISHED
        if wanted.target.require_attestation and is_published and checks.lacks_attestation(artifact):
            raise _not_attested(wanted, artifact)
    except HubError as error:
        return PlannedFile(artifact, existing, refusal=error)
    return PlannedFile(artifact, existing, change, note=checks.note(artifact) if is_published else "")


def _check_file(target: Channel, artifact: Artifact) -> None:
    check_revision(target, artifact.file_name, artifact.revision)
    if artifact.size_bytes > target.upload_limit_bytes:
        raise too_large(
            "too_large",
            f"{artifact.file_name} has {human_size(artifact.size_bytes)}; '{target}' allows "
            f"{human_size(target.upload_limit_bytes)}.",
        )


def _change(wanted: Wanted, artifact: Artifact, existing: Artifact | None, labels: Mapping[int, Names]) -> Change:
    if existing is None:
        return Change.NEW
    if check_duplicate(_as_upload(wanted, artifact), existing, may_replace=wanted.replaces):
        if existing.removal == Removal.YANKED:
            raise conflict("yanked", f"{existing} is yanked. Restore it there instead.")
        if existing.quarantine_reason:
            raise conflict("quarantined", f"{existing} is quarantined. Upload the file there again.")
        before = labels[existing.pk]
        artifact_labels.check_room(existing, before, before | {wanted.label})
        return Change.UNCHANGED if wanted.label in before else Change.LABELED
    return Change.RESTORED if existing.sha256 == artifact.sha256 else Change.REPLACED


def _refused_names(wanted: Wanted, names: Iterable[str], *, has_rule: bool) -> dict[str, HubError]:
    """Return package name → refusal for names that the key may not upload or, by a move, delete.

    A rule for the source is more specific than the policy that only trusted publishers may upload.
    """
    refused = {}
    for name in names:
        try:
            if has_rule:
                check_name(wanted.actor, wanted.target, name, "promote the package '{}' to")
            else:
                check_uploader(wanted.actor, wanted.target, name)
            if wanted.is_move:
                check_name(wanted.actor, wanted.source, name, "move the package '{}' out of")
        except HubError as error:
            refused[name] = error
    return refused


def _patched(wanted: Wanted, artifacts: Sequence[Artifact]) -> set[int]:
    """Return the ids of the artifacts that patches of the source change, and those of the target do not."""
    names = sorted({artifact.package.name for artifact in artifacts})
    left = active_patches.of(wanted.source, names)
    if not left:
        return set()
    found = active_patches.of(wanted.target, names)
    selected = Artifact.objects.filter(pk__in=[artifact.pk for artifact in artifacts])
    return {
        pk
        for pk, place in active_patches.places(selected, [*left, *found])
        if any(each not in patching.changes_of(found, place) for each in patching.changes_of(left, place))
    }


def _not_attested(wanted: Wanted, artifact: Artifact) -> HubError:
    found, remedy = "has none", f"Publish it to '{wanted.target}' from CI, as a trusted publisher."
    if artifact.attestations_sha256:
        found = "has only attestations of publishers of another channel"
        remedy = f"A rule of '{wanted.target}' for promotions from '{wanted.source}' can accept them."
    return unprocessable(
        "attestation_missing",
        f"'{wanted.target}' requires an attestation for each package (CEP 27), and {artifact.file_name} {found}. "
        + remedy,
    )


def _existing(target: Channel, artifacts: Sequence[Artifact], *, locked: bool) -> dict[Place, Artifact]:
    """Return place → artifact of the target with one of these names, not case-sensitive. Deleted artifacts count."""
    places = [_place(artifact) for artifact in artifacts]
    found = Artifact.objects.select_for_update(of=("self",), no_key=True) if locked else Artifact.objects
    within = found.filter(channel=target, subdir__in={subdir for subdir, _ in places})
    named = within.filter(file_name__lower__in={name for _, name in places})
    listed = named.select_related("channel", "uploaded_with").defer(*HEAVY).order_by("pk")
    return {_place(artifact): artifact for artifact in listed}


def _place(artifact: Artifact) -> Place:
    return artifact.subdir, artifact.file_name.lower()


def _as_upload(wanted: Wanted, artifact: Artifact) -> Upload:
    """Return the upload of the same bytes, as far as the check of duplicates reads it."""
    info = PackageInfo(
        file_name=artifact.file_name,
        name=artifact.package.name,
        version=artifact.version,
        build=artifact.build,
        build_number=artifact.build_number,
        subdir=artifact.subdir,
        extension="",
        index={},
        revision=artifact.revision,
        about={},
        run_exports={},
        features=(),
        warnings=(),
        files=(),
        file_count=0,
        licences=(),
        recipe=(),
    )
    file = ReceivedFile(Path(), artifact.file_name, None, artifact.sha256, artifact.md5, artifact.size_bytes)
    return Upload(wanted.actor, wanted.target, file, info, force=wanted.replaces, may_restore=wanted.may_restore)
