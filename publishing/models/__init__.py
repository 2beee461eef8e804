"""Models, by noun. Import them from here."""

from publishing.models.attestations import Attestation
from publishing.models.imports import Import, ImportState, RefusedFile, SourceKey
from publishing.models.index import Fragment, IndexedName, RetiredShard, SubdirIndex
from publishing.models.jobs import FailedJob, Verification
from publishing.models.notices import ChannelNotice, NoticeLevel
from publishing.models.patches import Patch, PatchedName
from publishing.models.promotion import (
    PUBLISHED,
    PromotedFile,
    PromotedFileChange,
    Promotion,
    PromotionRule,
    PromotionState,
)
from publishing.models.relations import ChannelRelations
from publishing.models.trusted import Issuer, TrustedPublisher, UsedIdToken
from publishing.models.uploads import Reservation
from publishing.models.upstreams import CachedFile, Upstream, UpstreamName, UpstreamSubdir
from publishing.models.virtual import MergedShard, NameAct, NameRule, VirtualMember, VirtualName, WaitingBuild
from publishing.models.watches import Watch, WatchedFile

__all__ = [
    "PUBLISHED",
    "Attestation",
    "CachedFile",
    "ChannelNotice",
    "ChannelRelations",
    "FailedJob",
    "Fragment",
    "Import",
    "ImportState",
    "IndexedName",
    "Issuer",
    "MergedShard",
    "NameAct",
    "NameRule",
    "NoticeLevel",
    "Patch",
    "PatchedName",
    "PromotedFile",
    "PromotedFileChange",
    "Promotion",
    "PromotionRule",
    "PromotionState",
    "RefusedFile",
    "Reservation",
    "RetiredShard",
    "SourceKey",
    "SubdirIndex",
    "TrustedPublisher",
    "Upstream",
    "UpstreamName",
    "UpstreamSubdir",
    "UsedIdToken",
    "Verification",
    "VirtualMember",
    "VirtualName",
    "WaitingBuild",
    "Watch",
    "WatchedFile",
]
