"""Tests of tokens: refresh, concurrent refresh, reuse, revocation, and their rights."""

import re
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from allauth.idp.oidc.models import Token
from django.test import Client
from django.utils import timezone

from channels_app.access.permissions import Permission
from channels_app.accounts.oauth import token_families
from channels_app.accounts.oauth.clients import add_known_clients
from channels_app.models import Channel, Role, User
from tests.accounts.oauth import REVOKE, TOKEN, client, code_form, read, refresh, send, sign_in, url
from tests.builders import make_channel, make_member
from tests.pages import Response, events, signed_in
from tests.threads import at_once, shared_database

pytestmark = pytest.mark.django_db

ENOUGH = 8
SCOPED = {"channel:read", "channel:upload"}


def pair(answer: Any) -> tuple[str, str]:
    return answer["access_token"], answer["refresh_token"]


def age(**by: int) -> None:
    """Make all tokens older."""
    for token in Token.objects.all():
        token.created_at -= timedelta(**by)
        if token.expires_at:
            token.expires_at -= timedelta(**by)
        token.save()


def test_refresh_replaces_both_tokens(channel: Channel, olga: User) -> None:
    first = sign_in(olga)
    second = refresh(first).json()
    assert set(pair(first)).isdisjoint(pair(second))
    assert second["expires_in"] == 3600
    assert read(second, channel).status_code == 200
    assert refresh(second).status_code == 200


def test_used_token_is_answered_alike_for_ten_minutes(olga: User) -> None:
    token = sign_in(olga)
    begun = time.monotonic()
    second = refresh(token)
    age(seconds=500)
    again = refresh(token)
    assert pair(again.json()) == pair(second.json())
    assert 3099 - (time.monotonic() - begun) <= again.json()["expires_in"] <= 3100
    assert "no-store" in again.headers["Cache-Control"]


def test_used_token_after_ten_minutes_ends_the_sign_in(channel: Channel, olga: User) -> None:
    token, other = sign_in(olga), sign_in(olga)
    second = refresh(token).json()
    age(seconds=601)
    again = refresh(token)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert read(second, channel).status_code == 401
    assert refresh(second).json()["error"] == "invalid_grant"
    assert read(other, channel).status_code == 200
    assert events()[-1] == ("oauth.revoke", "pixi / rattler", {"reason": "a refresh token was used twice"})


def test_answers_are_kept_unreadable_and_no_longer_than_they_are_repeated(olga: User) -> None:
    token = sign_in(olga)
    second = refresh(token).json()
    kept = Token.objects.get(type=token_families.USED)
    assert not any(secret in str(kept.data) for secret in pair(second))
    token_families.delete_old()
    assert "answer" in Token.objects.get(pk=kept.pk).data
    age(seconds=601)
    token_families.delete_old()
    assert "answer" not in Token.objects.get(pk=kept.pk).data
    age(days=30)
    token_families.delete_old()
    assert not Token.objects.filter(type=token_families.USED).exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_refreshes_at_once_all_get_the_same_pair(olga: User, tmp_path: Path) -> None:
    token = sign_in(olga)
    with shared_database(tmp_path):
        answers = at_once(*[partial(refresh, token) for _ in range(ENOUGH)])
        assert [answer.status_code for answer in answers] == [200] * ENOUGH  # type: ignore[attr-defined]
        assert len({pair(answer.json()) for answer in answers}) == 1  # type: ignore[attr-defined]


@pytest.mark.django_db(transaction=True)
def test_of_many_uses_of_a_code_at_once_one_gets_tokens(olga: User, tmp_path: Path) -> None:
    form = code_form(olga)
    with shared_database(tmp_path):
        answers = at_once(*[partial(send, TOKEN, form) for _ in range(ENOUGH)])
    statuses = sorted(answer.status_code for answer in answers)  # type: ignore[attr-defined]
    assert statuses == [200] + [400] * (ENOUGH - 1)


def test_refresh_token_of_another_application_is_refused(olga: User) -> None:
    token = sign_in(olga)
    assert refresh(token, client_id="unknown").status_code in (400, 401)
    refresh(token)
    assert refresh(token, client_id="unknown").status_code in (400, 401)


def test_refresh_may_narrow_and_never_widen(olga: User) -> None:
    token = sign_in(olga, client(scope="openid offline_access channel:read"))
    assert refresh(token, scope="openid channel:upload").json()["error"] == "invalid_scope"
    assert refresh(token, scope="openid").json()["scope"] == "openid"


def test_refresh_by_a_deactivated_user_is_refused(olga: User) -> None:
    token = sign_in(olga)
    refresh(token)
    User.objects.update(is_active=False)
    assert refresh(token).json()["error"] == "invalid_grant"


def test_unused_sign_in_ends_after_ninety_days(olga: User) -> None:
    token = sign_in(olga)
    age(days=89)
    token = refresh(token).json()
    age(days=90, seconds=1)
    assert refresh(token).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense", None])
def test_revoking_either_token_ends_the_sign_in(channel: Channel, olga: User, which: str, hint: str | None) -> None:
    application = client()
    token, other = sign_in(olga, application), sign_in(olga)
    answer = application.revoke_token(url(REVOKE), token=token[which], token_type_hint=hint, body="client_id=rattler")
    assert answer.status_code == 200
    assert read(token, channel).status_code == 401
    assert refresh(token).json()["error"] == "invalid_grant"
    assert read(other, channel).status_code == 200
    assert events()[-1] == ("oauth.revoke", "pixi / rattler", {"reason": "signed out"})


def test_revocation_after_a_refresh_ends_the_family(olga: User) -> None:
    token = sign_in(olga)
    second = refresh(token).json()
    send(REVOKE, {"token": second["refresh_token"], "client_id": "rattler"})
    assert refresh(token).json()["error"] == "invalid_grant"
    assert not Token.objects.exists()


def test_revocation_of_an_unknown_token_gets_200() -> None:
    assert send(REVOKE, {"token": "x", "client_id": "rattler"}).status_code == 200


def test_expired_access_token_gets_401(channel: Channel, olga: User) -> None:
    token = sign_in(olga)
    age(seconds=3601)
    answer = read(token, channel)
    assert answer.status_code == 401
    assert "Sign in again: pixi auth login" in answer.text


def test_token_has_the_permissions_of_its_user(channel: Channel, max_: User) -> None:
    token = sign_in(max_)
    assert read(token, channel).status_code == 403
    member = make_member(channel, max_, Role.VIEWER)
    assert read(token, channel).status_code == 200
    assert "role" in upload(token, channel).text
    member.delete()
    assert read(token, channel).status_code == 403
    User.objects.filter(pk=max_.pk).update(is_active=False)
    assert read(token, channel).status_code == 401


def upload(token: Any, channel: Channel) -> Response:
    browser = Client(headers={"authorization": f"Bearer {token['access_token']}", "x-file-name": "a-1-0.conda"})
    return browser.post(f"/api/v1/upload/{channel}", b"x", content_type="application/octet-stream")


def delete(token: Any, channel: Channel) -> Response:
    browser = Client(headers={"authorization": f"Bearer {token['access_token']}"})
    return browser.delete(f"/api/v1/delete/{channel}/noarch/a-1-0.conda")


def test_token_that_may_only_read(channel: Channel, olga: User) -> None:
    token = sign_in(olga, client(scope="openid channel:read"))
    assert read(token, channel).status_code == 200
    answer = upload(token, channel)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (403, "scope_missing")
    assert answer.text == (
        "pixi / rattler is authorized for read; to upload there, sign it in again with the scope 'channel:upload' "
        "or send an API key with 'upload'.\n"
    )


def test_token_that_may_only_upload(olga: User) -> None:
    channel = make_channel("closed", owner=olga)
    token = sign_in(olga, client(scope="openid channel:upload"))
    assert read(token, channel).status_code == 403
    assert upload(token, channel).status_code == 422


def test_token_without_the_delete_scope_gets_403(channel: Channel, olga: User) -> None:
    answer = delete(sign_in(olga), channel)
    assert (answer.status_code, answer.headers["X-Error-Code"]) == (403, "scope_missing")
    assert answer.text == (
        "pixi / rattler is authorized for read, upload; to delete there, use the hub's pages "
        "or send an API key with 'delete'.\n"
    )


def test_token_without_channel_scopes_reads_public_channels(olga: User, channel: Channel) -> None:
    token = sign_in(olga, client(scope="openid profile"))
    assert read(token, make_channel("open", is_private=False)).status_code == 200
    assert read(token, channel).status_code == 403


@pytest.mark.parametrize("path", ["/account/applications", "/channels/new"])
def test_token_opens_no_page_that_needs_a_session(channel: Channel, olga: User, path: str) -> None:
    token = sign_in(olga)
    answer = Client(headers={"authorization": f"Bearer {token['access_token']}"}).get(path)
    assert answer.headers["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("kind", ["refresh_token", "id_token"])
def test_only_access_tokens_are_credentials(channel: Channel, olga: User, kind: str) -> None:
    assert read({"access_token": sign_in(olga)[kind]}, channel).status_code == 401


def test_page_lists_and_revokes(channel: Channel, olga: User, max_: User) -> None:
    token, other, browser = sign_in(olga), sign_in(max_), signed_in(olga)
    refresh(sign_in(olga))
    page = browser.get("/account/applications").text
    assert "pixi / rattler" in page
    assert "Upload packages to every channel that you may upload to" in page
    assert re.search(r'data-label="Sign-ins">2<', page)
    assert "Revoke pixi / rattler?" in browser.get("/account/applications?revoke=rattler").text
    browser.post("/account/applications", {"revoke": "rattler"})
    assert "No application is signed in" in browser.get("/account/applications").text
    assert read(token, channel).status_code == 401
    assert Token.objects.filter(user=max_).exists()
    assert refresh(other).status_code == 200
    assert events()[-1] == ("oauth.revoke", "pixi / rattler", {"reason": "by the user"})


def test_page_keeps_when_a_sign_in_began(olga: User) -> None:
    token = sign_in(olga)
    began = Token.objects.earliest("created_at").created_at
    refresh(token)
    Token.objects.filter(type=Token.Type.ACCESS_TOKEN).update(created_at=timezone.now() + timedelta(hours=2))
    [listed] = signed_in(olga).get("/account/applications").context["listed"]
    assert abs(listed.since - began) < timedelta(seconds=1)
    assert listed.used_at > listed.since


def test_page_of_applications_revokes_no_unknown_one(olga: User) -> None:
    for value in ("unknown", "", "\0"):
        assert signed_in(olga).post("/account/applications", {"revoke": value}).status_code == 404


def test_known_client_stays_as_an_administrator_left_it(olga: User) -> None:
    from allauth.idp.oidc.models import Client as OAuthClient

    OAuthClient.objects.filter(pk="rattler").update(name="ours")
    add_known_clients()
    assert OAuthClient.objects.get(pk="rattler").name == "ours"


def test_no_scope_is_for_more_than_reading_and_uploading() -> None:
    from channels_app.access.permissions import TOKEN_SCOPES

    assert set(TOKEN_SCOPES.values()) == {Permission.READ, Permission.UPLOAD}


def test_token_identifies_its_user_in_whoami(olga: User) -> None:
    token = sign_in(olga)
    answer = Client(headers={"authorization": f"Bearer {token['access_token']}"}).get("/api/v1/whoami").json()
    assert (answer["kind"], answer["user"], set(answer["scopes"])) == ("application", "olga", SCOPED)


@pytest.mark.parametrize("scope", ["channel:read", "openid profile", "openid channel:upload"])
def test_only_offline_access_gets_a_refresh_token(olga: User, scope: str) -> None:
    token = sign_in(olga, client(scope=scope))
    assert not token.keys() & {"refresh_token", "refresh_expires_in"}
    assert not Token.objects.exclude(type=Token.Type.ACCESS_TOKEN).exists()
    assert sign_in(olga, client(scope=f"{scope} offline_access"))["refresh_token"]
