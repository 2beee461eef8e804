"""Tests of confidential OAuth clients that authenticate by header: their tokens belong to one sign-in, too."""

import base64
from typing import Any

import pytest
from allauth.idp.oidc.adapter import get_adapter
from allauth.idp.oidc.models import Client as Application
from allauth.idp.oidc.models import Token

from channels_app.accounts.oauth import token_families
from channels_app.models import User
from tests.accounts.oauth import REVOKE, TOKEN, send
from tests.pages import events

pytestmark = pytest.mark.django_db


def with_a_secret(user: User) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the header of an application with a secret, and its tokens."""
    grants = "\n".join([Application.GrantType.AUTHORIZATION_CODE, Application.GrantType.REFRESH_TOKEN])
    tool = Application(id="tool", name="A tool", type=Application.Type.CONFIDENTIAL, grant_types=grants)
    tool.set_secret("kept-by-the-tool")
    tool.save()
    answer = {"access_token": "an-access-token", "refresh_token": "a-refresh-token"}
    for kind, secret in zip((Token.Type.ACCESS_TOKEN, Token.Type.REFRESH_TOKEN), answer.values(), strict=True):
        token = Token(client=tool, user=user, type=kind, hash=get_adapter().hash_token(secret))
        token.set_scopes(["channel:read"])
        token.save()
    token_families.begin(answer)
    by_header = base64.b64encode(b"tool:kept-by-the-tool").decode()
    return {"Authorization": f"Basic {by_header}"}, answer


def test_tokens_of_a_client_with_basic_authentication_are_a_family(olga: User) -> None:
    header, first = with_a_secret(olga)
    again = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    assert send(TOKEN, again, header).status_code == 200
    assert len({token.data["family"] for token in Token.objects.all()}) == 1
    assert Token.objects.filter(type=token_families.USED).exists()


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_revoking_by_header_ends_the_whole_sign_in(olga: User, which: str) -> None:
    header, first = with_a_secret(olga)
    assert send(REVOKE, {"token": first[which]}, header).status_code == 200
    assert not Token.objects.exists()
    assert events()[-1][0] == "oauth.revoke"
