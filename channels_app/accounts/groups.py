"""The groups that an OpenID Connect provider tells of at each sign-in; they fill teams."""

import logging

from allauth.socialaccount.models import SocialAccount

from channels_app.models import User
from channels_app.people import teams

logger = logging.getLogger(__name__)


def follow(*, user: User, account: SocialAccount) -> None:
    """Let `user` be in the teams of the groups that were said now; where none were said rightly, nothing changes."""
    claim = account.get_provider().app.settings.get("groups_claim")
    if claim is None:
        return
    said = _said(account, claim)
    if isinstance(said, list) and all(isinstance(group, str) for group in said):
        teams.follow_groups(user=user, provider=account.provider, groups=said)
    else:
        logger.warning(
            "%s signed in by %s, whose claim %r is no list of names; expected the groups. Teams stay as they are.",
            user,
            account.provider,
            claim,
        )


def _said(account: SocialAccount, claim: str) -> object:
    """The claim as the provider's userinfo has it, else its ID token."""
    parts = [account.extra_data.get(part) for part in ("userinfo", "id_token")]
    return next((part[claim] for part in parts if isinstance(part, dict) and claim in part), None)
