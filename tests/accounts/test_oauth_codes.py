"""Tests of an authorization code that is used twice: its tokens are revoked (RFC 6749, section 4.1.2)."""

from datetime import timedelta

import pytest
from allauth.idp.oidc.models import Token

from channels_app.accounts.oauth import tokens
from channels_app.models import Channel, User
from tests.accounts.oauth import TOKEN, code_form, read, refresh, send, sign_in
from tests.pages import events

pytestmark = pytest.mark.django_db


def test_second_use_revokes_the_tokens_of_the_first(channel: Channel, olga: User) -> None:
    form = code_form(olga)
    token = send(TOKEN, form).json()
    assert read(token, channel).status_code == 200
    again = send(TOKEN, form)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert read(token, channel).status_code == 401
    assert refresh(token).json()["error"] == "invalid_grant"


def test_second_use_of_a_code_revokes_refreshed_tokens(channel: Channel, olga: User) -> None:
    form = code_form(olga)
    newer = refresh(send(TOKEN, form).json()).json()
    send(TOKEN, form)
    assert read(newer, channel).status_code == 401
    assert not Token.objects.filter(user=olga, type=Token.Type.ACCESS_TOKEN).exists()


@pytest.mark.parametrize("change", [{"code_verifier": "x" * 43}, {"client_id": "another"}, {"redirect_uri": "x"}])
def test_second_use_of_a_code_by_another_client_revokes_its_tokens(
    channel: Channel, olga: User, change: dict[str, str]
) -> None:
    form = code_form(olga)
    token = send(TOKEN, form).json()
    assert send(TOKEN, form | change).status_code == 400
    assert read(token, channel).status_code == 401


def test_other_sign_ins_go_on(channel: Channel, olga: User, max_: User) -> None:
    mine, theirs = sign_in(olga), sign_in(max_)
    form = code_form(olga)
    send(TOKEN, form)
    send(TOKEN, form)
    assert read(mine, channel).status_code == 200
    assert refresh(theirs).status_code == 200


def test_second_use_of_a_code_is_recorded_once(olga: User) -> None:
    form = code_form(olga)
    for _ in range(4):
        send(TOKEN, form)
    ended = [detail["reason"] for action, _, detail in events() if action == "oauth.revoke"]
    assert ended == ["its code was used twice"]


def test_second_use_of_a_failed_code_revokes_no_token(channel: Channel, olga: User) -> None:
    token, form = sign_in(olga), code_form(olga)
    for _ in range(2):
        assert send(TOKEN, form | {"code_verifier": "x" * 43}).status_code == 400
    assert read(token, channel).status_code == 200


def test_uses_are_remembered_for_a_day() -> None:
    assert timedelta(days=1).total_seconds() == tokens.CODE_REMEMBERED_S
