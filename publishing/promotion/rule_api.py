"""`/api/v1/channels/{channel}/promotion-rules`: rules for promotions to the channel."""

from django.db.models import QuerySet
from ninja import Field, Router, Schema, Status
from ninja.pagination import paginate

from channels_app.access.permissions import Permission, channel_for
from channels_app.rest.bodies import Body
from channels_app.rest.pagination import Pages
from channels_app.rest.service import SESSION_ONLY, Request
from publishing.models import PromotionRule
from publishing.promotion import rules
from publishing.promotion.rules import Needed

router = Router(tags=["Promotions"])
RULE = "/channels/{channel}/promotion-rules/{source}"


class PromotionRuleState(Schema):
    """A rule for promotions from one channel, or from all others (`*`)."""

    source: str
    needs: Needed
    needs_approval: bool
    keeps_attestations: bool


class PromotionRuleValues(Body):
    """The values of a rule."""

    needs: Needed = Field(Needed.UPLOAD, description="The right in the channel that the promoter needs.")
    needs_approval: bool = Field(False, description="A second person with this right approves each promotion.")
    keeps_attestations: bool = Field(
        False, description="Attestations that name another channel go along, and count where one is required."
    )


@router.get("/channels/{channel}/promotion-rules", response=list[PromotionRuleState], url_name="promotion-rules")
@paginate(Pages, ordering=("source",))
def list_promotion_rules(request: Request, channel: str) -> QuerySet[PromotionRule]:
    """List the rules. Without any, each member with the right to upload promotes files from every channel."""
    return channel_for(request.auth, channel, Permission.MANAGE).promotion_rules.all()


@router.get(RULE, response=PromotionRuleState, url_name="promotion-rule")
def get_promotion_rule(request: Request, channel: str, source: str) -> PromotionRule:
    return rules.rule_for(channel_for(request.auth, channel, Permission.MANAGE), source)


@router.put(RULE, response=PromotionRuleState, openapi_extra=SESSION_ONLY)
def set_promotion_rule(request: Request, channel: str, source: str, values: PromotionRuleValues) -> PromotionRule:
    """Add the rule, or change it."""
    found = channel_for(request.auth, channel, Permission.MANAGE)
    return rules.save(actor=request.auth, channel=found, source=source, **values.model_dump())


@router.delete(RULE, response={204: None}, openapi_extra=SESSION_ONLY)
def remove_promotion_rule(request: Request, channel: str, source: str) -> Status[None]:
    """Remove the rule. Without any, each member with the right to upload promotes files from every channel."""
    rules.remove(actor=request.auth, channel=channel_for(request.auth, channel, Permission.MANAGE), source=source)
    return Status(204, None)
