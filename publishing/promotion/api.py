"""`/api/v1/channels/{channel}/promotions`: files that are copied or moved to the channel from another one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Field, Router, Schema, Status
from ninja.pagination import paginate
from pydantic import ConfigDict, model_validator

from channels_app.access.permissions import Permission, channel_for, decide
from channels_app.identifiers import LABEL_MAX_CHARACTERS, MAIN_LABEL
from channels_app.models import Artifact, Channel
from channels_app.packages.queries import find_artifacts
from channels_app.rest.bodies import Body, UserName, with_value
from channels_app.rest.pagination import Pages
from channels_app.rest.service import SESSION_ONLY, Request
from hub.errors import forbidden
from publishing.models import PromotedFileChange, Promotion, PromotionState
from publishing.promotion import approvals, promotions, queries, rollback
from publishing.promotion.plan import PlannedFile, Wanted
from publishing.removal.api import Reason, ReasonText, Selection
from publishing.removal.removal import SELECTION_MAX

router = Router(tags=["Promotions"])
PROMOTION = "/channels/{channel}/promotions/{int:promotion_id}"
NO_REASON = Reason()
Path = Annotated[str, Field(max_length=300)]
ChannelName = Annotated[str, Field(max_length=100)]
LabelName = Annotated[str, Field(max_length=LABEL_MAX_CHARACTERS)]


class NewPromotion(Body):
    """Files to copy or move to the channel: those of `files`, or those that the filter selects."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [with_value("files"), with_value("filter")]})

    from_channel: ChannelName = Field(alias="from", description="The channel that has the files.")
    files: list[Path] | None = Field(None, min_length=1, max_length=SELECTION_MAX, description="SUBDIR/FILE each.")
    filter: Selection | None = None
    move: bool = Field(False, description="Delete the files in the other channel. They can be restored for a while.")
    replace: bool = Field(False, description="Replace other bytes, if the channel allows it.")
    label: LabelName = Field(MAIN_LABEL, description="The label that the files get in the channel.")
    reason: ReasonText = ""
    dry_run: bool = Field(False, description="Change nothing, and return what would change.")

    @model_validator(mode="after")
    def _need_one(self) -> "NewPromotion":
        if (self.files is None) == (self.filter is None):
            raise ValueError("expected either 'files' or 'filter'")
        return self


class FileChange(Schema):
    """A file of a promotion. `change` is null if it is refused."""

    subdir: str
    file_name: str
    sha256: str
    size_bytes: int
    change: PromotedFileChange | None = Field(
        description="`restored`: it was deleted. `replaced`: it had other bytes. `labeled`: it exists, "
        "and gets the label. `unchanged`: it exists with the label."
    )
    code: str = Field("", description="Of the refusal, in a dry run.")
    detail: str = Field("", description="The refusal, or notes about attestations and patches that stay behind.")


class PromotionPreview(Schema):
    """The result of a dry run."""

    dry_run: Literal[True] = True
    files: list[FileChange]


class PromotionItem(Schema):
    """A promotion. `from` is null if the other channel was deleted or is hidden from you."""

    id: int
    from_channel: str | None = Field(serialization_alias="from")
    state: PromotionState
    move: bool
    replace: bool
    label: str = Field(description="The label that the files got.")
    reason: str
    failure: str = Field(description="Why it failed or was refused.")
    file_count: int
    created_by: UserName
    decided_by: UserName = Field(description="The second person, who approved or refused it.")
    created_at: datetime
    ended_at: datetime | None

    @staticmethod
    def resolve_from_channel(promotion: Any) -> str | None:
        return promotion.source.name if promotion.source and promotion.is_source_visible else None

    @staticmethod
    def resolve_failure(promotion: Any) -> str:
        shown: str = promotion.shown_failure
        return shown

    @staticmethod
    def resolve_move(promotion: Promotion) -> bool:
        return promotion.is_move

    @staticmethod
    def resolve_replace(promotion: Promotion) -> bool:
        return promotion.replaces


class PromotionDetail(PromotionItem):
    """A promotion with its files."""

    files: list[FileChange]

    @staticmethod
    def resolve_files(promotion: Promotion) -> list[Any]:
        return list(promotion.files.order_by("subdir", "file_name"))


@router.get("/channels/{channel}/promotions", response=list[PromotionItem], url_name="promotions", by_alias=True)
@paginate(Pages, ordering=("-pk",))
def list_promotions(request: Request, channel: str) -> QuerySet[Promotion]:
    """List the promotions to the channel, newest first."""
    return queries.promotions(_readable(request, channel), request.auth)


@router.post(
    "/channels/{channel}/promotions",
    response={200: PromotionPreview, 201: PromotionDetail, 202: PromotionDetail},
    by_alias=True,
)
def promote(request: Request, channel: str, new: NewPromotion, response: HttpResponse) -> Status[Any]:
    """Copy or move files to the channel, all or none of them, at most 500.

    The index of each subdir and label is changed once. A label that does not exist is created. The store copies the
    bytes. It requires the right to read the other channel, and for a move also to delete there. The answer is 202 if
    a second person has to approve it, or if the hub completes or undoes it later.
    """
    target = channel_for(request.auth, channel, Permission.UPLOAD)
    source = channel_for(request.auth, new.from_channel, Permission.READ)
    wanted = Wanted(request.auth, source, target, is_move=new.move, replaces=new.replace, label=new.label)
    selection = _selected(source, new)
    if new.dry_run:
        return Status(200, {"files": _previewed(promotions.preview(wanted=wanted, selection=selection))})
    made = promotions.promote(wanted=wanted, selection=selection, reason=new.reason)
    response.headers["Location"] = f"{request.path}/{made.pk}"
    status = 202 if made.state in (PromotionState.WAITING, PromotionState.RUNNING) else 201
    return Status(status, queries.promotion_of(target, made.pk, request.auth))


@router.get(PROMOTION, response=PromotionDetail, url_name="promotion", by_alias=True)
def get_promotion(request: Request, channel: str, promotion_id: int) -> Promotion:
    return queries.promotion_of(_readable(request, channel), promotion_id, request.auth)


@router.post(f"{PROMOTION}/rollback", response=PromotionDetail, url_name="promotion-rollback", by_alias=True)
def roll_back_promotion(request: Request, channel: str, promotion_id: int, why: Reason = NO_REASON) -> Promotion:
    """Delete the files that the promotion published, and take its label from others; restore moved ones."""
    target = channel_for(request.auth, channel, Permission.DELETE)
    promotion = queries.promotion_of(target, promotion_id, request.auth)
    rollback.roll_back(actor=request.auth, promotion=promotion, reason=why.reason)
    return queries.promotion_of(target, promotion_id, request.auth)


@router.post(
    f"{PROMOTION}/approve",
    response=PromotionDetail,
    url_name="promotion-approve",
    by_alias=True,
    openapi_extra=SESSION_ONLY,
)
def approve_promotion(request: Request, channel: str, promotion_id: int) -> Promotion:
    """Carry out a waiting promotion that another user requested."""
    target = channel_for(request.auth, channel, Permission.UPLOAD)
    approvals.approve(actor=request.auth, promotion=queries.promotion_of(target, promotion_id, request.auth))
    return queries.promotion_of(target, promotion_id, request.auth)


@router.post(f"{PROMOTION}/refuse", response=PromotionDetail, url_name="promotion-refuse", by_alias=True)
def refuse_promotion(request: Request, channel: str, promotion_id: int, why: Reason = NO_REASON) -> Promotion:
    """Refuse a waiting promotion as a second person, or withdraw your own."""
    target = channel_for(request.auth, channel, Permission.UPLOAD)
    promotion = queries.promotion_of(target, promotion_id, request.auth)
    approvals.refuse(actor=request.auth, promotion=promotion, reason=why.reason)
    return queries.promotion_of(target, promotion_id, request.auth)


def _readable(request: Request, channel: str) -> Channel:
    found, granted = decide(request.auth, channel, Permission.UPLOAD)
    if Permission.READ not in granted:
        raise forbidden("scope_missing", "Promotions list files of the channel, which requires the scope 'read'.")
    return found


def _selected(source: Channel, new: NewPromotion) -> QuerySet[Artifact]:
    if new.filter:
        return find_artifacts(source, **new.filter.model_dump())
    return queries.files_at(source, new.files or [])


def _previewed(planned: Sequence[PlannedFile]) -> list[dict[str, Any]]:
    names = ("subdir", "file_name", "sha256", "size_bytes")
    return [
        {name: getattr(each.artifact, name) for name in names}
        | {"change": each.change}
        | ({"code": each.refusal.code, "detail": each.refusal.detail} if each.refusal else {"detail": each.note})
        for each in planned
    ]
