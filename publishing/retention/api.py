"""`/api/v1/channels/{channel}/retention-rules`: rules by which a channel yanks, and later deletes, its old files."""

from datetime import datetime
from typing import Annotated, Any

from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpResponse
from ninja import Field, Router, Schema, Status
from ninja.pagination import paginate

from channels_app.access.permissions import Permission, channel_for, decide, lock_channel
from channels_app.models import Channel, RetentionRule
from channels_app.rest.bodies import Body, UserName
from channels_app.rest.conditional import IF_MATCH, check_match
from channels_app.rest.pagination import Pages
from channels_app.rest.service import SESSION_ONLY, Request
from hub.errors import forbidden
from publishing.removal.api import DependentPackages
from publishing.retention import queries, retention
from publishing.retention.choice import Act, Choice
from publishing.retention.retention import Plan
from publishing.retention.rules import DAYS_MAX, ENTRIES_MAX, KEPT_MAX, TITLE_MAX_CHARACTERS, Rule

router = Router(tags=["Retention"])
RULES = "/channels/{channel}/retention-rules"
RULE = f"{RULES}/{{int:rule_id}}"
FILES_MAX = 10_000
Entries = Annotated[list[str], Field(max_length=ENTRIES_MAX)]
Kept = Annotated[int, Field(ge=1, le=KEPT_MAX)]
Days = Annotated[int, Field(ge=1, le=DAYS_MAX)]


class RuleFields(Schema):
    """The values of a rule. It picks a file if all of its conditions hold. Null is no condition; one is needed."""

    title: str = Field(min_length=1, max_length=TITLE_MAX_CHARACTERS, description="Why the rule exists.")
    names: Entries = Field([], description="Package names; * and ? are wildcards. Empty: all.")
    labels: Entries = Field(
        [],
        description="Only files with one of these labels, among which versions and builds count; `*` and `?` as above.",
    )
    without_labels: Entries = Field([], description="Only files with none of these labels.")
    keep_versions: Kept | None = Field(None, description="Only files with so many newer versions of name and subdir.")
    keep_builds: Kept | None = Field(None, description="Only files with so many newer builds of name and subdir.")
    older_than_days: Days | None = Field(None, description="Only files published so long ago.")
    unused_days: Days | None = Field(None, description="Only files that were not downloaded for so long.")
    protected_names: Entries = Field([], description="Package names that no rule of the channel touches.")
    protected_versions: Entries = Field(
        [], description="Version specs such as `>=1.2,<2`. No rule touches these versions of `names`."
    )
    protected_labels: Entries = Field([], description="Labels. No rule touches files that have one of them.")
    delete_after_days: Days | None = Field(None, description="From the yank on; null: yanked files are not deleted.")


class RuleState(RuleFields):
    """A rule."""

    id: int
    created_at: datetime
    created_by: UserName


class NewRule(Body, RuleFields):
    """A rule to save."""

    dry_run: bool = Field(False, description="Change nothing, and return the plan of the next night with this rule.")

    def rule(self, rule_id: int = 0) -> Rule:
        return Rule(id=rule_id, **self.model_dump(exclude={"dry_run"}))


class PlannedFile(Schema):
    """A file that a rule yanks or deletes. `rule_id` is null for a rule that is not saved yet."""

    act: Act
    subdir: str
    file_name: str
    size_bytes: int
    rule_id: int | None
    reason: str

    @staticmethod
    def of(choice: Choice) -> "PlannedFile":
        file = choice.file
        return PlannedFile(
            act=choice.act,
            subdir=file.subdir,
            file_name=file.file_name,
            size_bytes=file.size_bytes,
            rule_id=choice.rule.id or None,
            reason=choice.reason,
        )


class RetentionPlan(Schema):
    """The files that all rules of the channel yank and delete in the next night."""

    at: datetime = Field(description="When the night begins; ages are measured then.")
    yanked: int
    deleted: int
    files: list[PlannedFile] = Field(description=f"The first {FILES_MAX:,} of them.")
    dependents: DependentPackages

    @staticmethod
    def of(plan: Plan) -> "RetentionPlan":
        files = [PlannedFile.of(choice) for choice in plan.choices[:FILES_MAX]]
        return RetentionPlan(
            at=plan.at,
            yanked=plan.yanked,
            deleted=plan.deleted,
            files=files,
            dependents=DependentPackages.of(plan.dependents),
        )


class RuleOutcome(Schema):
    """A saved rule, or the plan of a dry run."""

    rule: RuleState | None
    plan: RetentionPlan | None


@router.get(RULES, response=list[RuleState], url_name="retention-rules")
@paginate(Pages, ordering=("id",))
def list_retention_rules(request: Request, channel: str) -> QuerySet[RetentionRule]:
    """List the rules in their order: the first rule that picks a file yanks it."""
    return queries.stored(channel_for(request.auth, channel, Permission.MANAGE))


@router.post(RULES, response={200: RuleOutcome, 201: RuleOutcome}, openapi_extra=SESSION_ONLY)
def add_retention_rule(request: Request, channel: str, new: NewRule, response: HttpResponse) -> Status[Any]:
    """Add a rule. The next night applies it."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    if new.dry_run:
        return Status(200, _dry(request, found, new.rule()))
    row = retention.add(actor=request.auth, channel=found, rule=new.rule())
    response.headers["Location"] = f"{request.path}/{row.pk}"
    return Status(201, {"rule": row, "plan": None})


@router.get(RULE, response=RuleState, url_name="retention-rule")
def get_retention_rule(request: Request, channel: str, rule_id: int) -> RetentionRule:
    return queries.rule_of(channel_for(request.auth, channel, Permission.MANAGE), rule_id)


@router.put(RULE, response=RuleOutcome, openapi_extra=SESSION_ONLY | IF_MATCH)
def change_retention_rule(request: Request, channel: str, rule_id: int, new: NewRule) -> dict[str, Any]:
    """Replace the values of the rule. It still leaves alone the files that somebody has restored after it."""
    row = queries.rule_of(channel_for(request.auth, channel, Permission.MANAGE), rule_id)
    if new.dry_run:
        return _dry(request, row.channel, new.rule(rule_id))
    with transaction.atomic():
        locked = lock_channel(request.auth, row.channel, Permission.MANAGE)
        check_match(request, RuleState.from_orm(queries.rule_of(locked, rule_id)))
        row = retention.change(actor=request.auth, channel=locked, rule=new.rule(rule_id))
    return {"rule": row, "plan": None}


@router.delete(RULE, response={204: None}, openapi_extra=SESSION_ONLY)
def remove_retention_rule(request: Request, channel: str, rule_id: int) -> Status[None]:
    """Remove the rule. Files that it has yanked stay yanked."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    retention.remove(actor=request.auth, channel=found, rule_id=rule_id)
    return Status(204, None)


@router.get("/channels/{channel}/retention-plan", response=RetentionPlan, url_name="retention-plan")
def get_retention_plan(request: Request, channel: str) -> RetentionPlan:
    """Return the changes of the next night by the saved rules, unless files or rules change before."""
    found, granted = decide(request.auth, channel, Permission.MANAGE)
    if Permission.READ not in granted:
        raise forbidden("scope_missing", "The plan lists files of the channel, which requires the scope 'read'.")
    return RetentionPlan.of(retention.planned(request.auth, found))


def _dry(request: Request, channel: Channel, rule: Rule) -> dict[str, Any]:
    plan = retention.dry_run(actor=request.auth, channel=channel, rule=rule)
    return {"rule": None, "plan": RetentionPlan.of(plan)}
