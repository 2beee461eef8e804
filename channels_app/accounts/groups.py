"""Membership in teams by the groups that an OpenID Connect provider sends at each sign-in."""

import logging

from allauth.socialaccount.models import SocialAccount

from channels_app.models import User
from channels_app.people import teams

logger = logging.getLogger(__name__)


def update_teams(*, user: User, account: SocialAccount) -> None:
    """Update the user's teams to the groups of this sign-in. A malformed claim is only logged."""
    claim = account.get_provider().app.settings.get("groups_claim")
    if claim is None:
        return
    groups = _claim_value(account, claim)
    if isinstance(groups, list) and all(isinstance(group, str) for group in groups):
        teams.follow_groups(user=user, provider=account.provider, groups=groups)
    else:
        logger.warning(
            "%s signed in by %s, whose claim %r is not a list of group names. The user's teams were not changed.",
            user,
            account.provider,
            claim,
        )


def _claim_value(account: SocialAccount, claim: str) -> object:
    """Return the claim from the provider's userinfo, else from its ID token."""
    parts = [account.extra_data.get(part) for part in ("userinfo", "id_token")]
    return next((part[claim] for part in parts if isinstance(part, dict) and claim in part), None)
