"""`/api/v1/channels/{channel}/virtual`: the members, rules and names of a virtual channel."""

from typing import Annotated, Any

from django.db import transaction
from django.db.models import QuerySet
from ninja import Field, Query, Router, Schema
from ninja.pagination import paginate

from channels_app import identifiers
from channels_app.access.permissions import Permission, channel_for, lock_channel
from channels_app.models import Channel
from channels_app.rest.bodies import Body
from channels_app.rest.conditional import IF_MATCH, check_match
from channels_app.rest.pagination import Pages
from channels_app.rest.service import SESSION_ONLY, Request
from publishing.models import NameAct, VirtualName
from publishing.models.virtual import GLOB_MAX_CHARACTERS
from publishing.virtual import queries, virtual
from publishing.virtual.virtual import MEMBERS_MAX, RULES_MAX, SHOWN_MAX, MemberText, Preview, RuleText, Wanted

router = Router(tags=["Virtual channels"])
PATH = "/channels/{channel}/virtual"
ChannelName = Annotated[str, Field(max_length=identifiers.CHANNEL_MAX_CHARACTERS)]
Text = Annotated[str, Query(max_length=identifiers.NAME_MAX_CHARACTERS)]


class VirtualMemberFields(Body):
    """A channel, or one of its labels."""

    channel: ChannelName
    label: str | None = Field(
        None, max_length=identifiers.LABEL_MAX_CHARACTERS, description="Null: the channel itself, its label `main`."
    )


class NameRuleFields(Body):
    """A rule about the names that a pattern matches. Every rule holds, in any order."""

    names: str = Field(
        min_length=1, max_length=GLOB_MAX_CHARACTERS, description="A pattern; `*` and `?` are wildcards."
    )
    act: NameAct
    channel: ChannelName | None = Field(
        None, description="The channel that alone, or never, brings the names. Null with `only_from`: no member may."
    )


class NameChange(Schema):
    """A name that another member brings than before; null: none."""

    name: str
    before: str | None
    after: str | None


class NameChanges(Schema):
    """The names whose member changes."""

    added: int = Field(description="Names that come.")
    removed: int = Field(description="Names that go.")
    moved: int = Field(description="Names that another member brings.")
    first: list[NameChange] = Field(description=f"The first {SHOWN_MAX} of them by name.")

    @staticmethod
    def of(preview: Preview) -> "NameChanges":
        first = [NameChange(name=name, before=old or None, after=new or None) for name, old, new in preview.first]
        return NameChanges(added=preview.added, removed=preview.removed, moved=preview.moved, first=first)


class Virtual(Schema):
    """The members and rules of a virtual channel."""

    members: list[VirtualMemberFields] = Field(description="In their order.")
    rules: list[NameRuleFields]
    changes: NameChanges | None = Field(None, description="Of a dry run: the names whose member would change.")

    @staticmethod
    def of(stated: Wanted, preview: Preview | None = None) -> "Virtual":
        return Virtual(
            members=[VirtualMemberFields(channel=each.channel, label=each.label or None) for each in stated.members],
            rules=[
                NameRuleFields(names=rule.names, act=NameAct(rule.act), channel=rule.channel or None)
                for rule in stated.rules
            ],
            changes=NameChanges.of(preview) if preview else None,
        )


class WantedVirtual(Body):
    """The members and rules to save. They replace the saved ones."""

    members: list[VirtualMemberFields] = Field(
        max_length=MEMBERS_MAX, description="A name belongs to the first of them that has it."
    )
    rules: list[NameRuleFields] = Field([], max_length=RULES_MAX)
    dry_run: bool = Field(False, description="Change nothing, and return the names whose member would change.")

    def wanted(self) -> Wanted:
        return Wanted(
            [MemberText(each.channel, each.label or "") for each in self.members],
            [RuleText(rule.names, rule.act, rule.channel or "") for rule in self.rules],
        )


class BroughtName(Schema):
    """A package name, and the member that it belongs to."""

    name: str
    channel: str
    label: str | None = Field(description="Null: the channel itself.")

    @staticmethod
    def resolve_channel(row: VirtualName) -> str:
        return row.member.member.name

    @staticmethod
    def resolve_label(row: VirtualName) -> str | None:
        return row.member.label or None


@router.get(PATH, response=Virtual, url_name="channel-virtual")
def get_virtual(request: Request, channel: str) -> Virtual:
    found = channel_for(request.auth, channel, Permission.MANAGE)
    return Virtual.of(virtual.stated(found))


@router.put(PATH, response=Virtual, openapi_extra=IF_MATCH | SESSION_ONLY)
def change_virtual(request: Request, channel: str, body: WantedVirtual) -> Virtual:
    """Replace the members and rules, or with `dry_run` say which names this would change."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    with transaction.atomic():
        locked = lock_channel(request.auth, found, Permission.MANAGE)
        check_match(request, Virtual.of(virtual.stated(locked)))
        if body.dry_run:
            preview = virtual.preview(actor=request.auth, channel=locked, wanted=body.wanted())
            return Virtual.of(body.wanted(), preview)
        return Virtual.of(virtual.stated(virtual.change(actor=request.auth, channel=locked, wanted=body.wanted())))


@router.get(f"{PATH}/names", response=list[BroughtName], url_name="channel-virtual-names")
@paginate(Pages, ordering=("name",))
def list_names(request: Request, channel: str, search: Text = "") -> QuerySet[Any]:
    """List the package names with the member that each belongs to; `search` is a part of the name."""
    return queries.names(_readable(request, channel), text=search)


def _readable(request: Request, channel: str) -> Channel:
    return channel_for(request.auth, channel, Permission.READ)
