"""The exchange of an identity token for a short-lived token, over HTTP and step by step."""

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from channels_app.access.permissions import Actor, Permission, permissions
from channels_app.authentication import api_keys
from channels_app.models import ApiKey, AuditEvent, Channel, KeyKind, User
from channels_app.rate_limits import counters
from hub.observability import metrics
from publishing.models import Issuer, TrustedPublisher, UsedIdToken
from publishing.trusted import exchange, publishers
from tests.builders import make_channel, make_issuer, make_key, make_publisher, make_short_lived_token, make_user
from tests.id_tokens.builders import AUDIENCE, KEY_ID, generic_claims, github_claims, jwk, signed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def audience(settings: Settings) -> None:
    settings.PUBLIC_HOST = AUDIENCE


@pytest.fixture
def publisher(channel: Channel) -> TrustedPublisher:
    return make_publisher(channel)


def mint(client: Client, token: str) -> Any:
    return client.post("/api/oidc/mint_token", json.dumps({"token": token}), content_type="application/json")


def refusal(answer: Any) -> tuple[int, str, str]:
    return answer.status_code, answer.headers["X-Error-Code"], answer.content.decode()


def exchanges(provider: str, outcome: str) -> float:
    """Return the number of exchanges that the metric has counted."""
    labels = {"provider": provider, "outcome": outcome}
    return metrics.REGISTRY.get_sample_value("channelhub_mint_total", labels) or 0


def test_token_becomes_a_key_that_may_upload(client: Client, publisher: TrustedPublisher, channel: Channel) -> None:
    answer = mint(client, signed(github_claims()))
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain"
    assert answer.headers["Cache-Control"] == "no-store"
    key = api_keys.look_up(answer.content.decode())
    assert key is not None
    assert key.kind == KeyKind.SHORT_LIVED
    assert key.owner is None
    assert key.name == "GitHub Actions: octo-org/sample"
    assert permissions(Actor(key=key), channel) == {Permission.UPLOAD}


def test_short_lived_token_expires_after_the_set_minutes(
    client: Client, publisher: TrustedPublisher, settings: Settings
) -> None:
    settings.HUB_SHORT_LIVED_TOKEN_MINUTES = 5
    mint(client, signed(github_claims()))
    key = ApiKey.objects.get(kind=KeyKind.SHORT_LIVED)
    assert key.expires_at is not None
    assert timedelta(minutes=4) < key.expires_at - timezone.now() <= timedelta(minutes=5)


def test_first_exchange_pins_and_notes_the_use(client: Client, publisher: TrustedPublisher) -> None:
    mint(client, signed(github_claims()))
    publisher.refresh_from_db()
    assert publisher.pins == {"repository_id": "740510", "repository_owner_id": "65"}
    assert publisher.last_used_at is not None
    events = AuditEvent.objects.order_by("pk").values_list("action", "target")
    assert list(events) == [("publisher.first_use", "GitHub Actions: octo-org/sample"), ("key.mint", "octo-org/sample")]


def test_exchange_for_a_generic_issuer_names_token_and_event_by_subject_and_issuer(channel: Channel) -> None:
    issuer = Issuer.objects.create(
        provider="generic", url="https://ci.example", key_set={KEY_ID: jwk()}, fetched_at=timezone.now()
    )
    make_publisher(channel, issuer, fields={"conditions": "team = release"})
    exchange.exchange(signed(generic_claims(issuer=issuer.url)))
    assert ApiKey.objects.get().name == "OpenID Connect: workload:sample"
    assert AuditEvent.objects.get(action="key.mint").target == "https://ci.example"


@pytest.mark.parametrize(
    ("claims", "code"), [({"event_name": "issue_comment"}, "event_refused"), ({"run_id": 5}, "bad_claim")]
)
def test_exchange_checks_the_providers_own_rules(
    client: Client, publisher: TrustedPublisher, claims: dict[str, Any], code: str
) -> None:
    assert refusal(mint(client, signed(github_claims(**claims))))[:2] == (422, code)


def test_exchange_is_counted_by_provider_and_outcome(client: Client, publisher: TrustedPublisher) -> None:
    token = signed(github_claims())
    outcomes = [("github", "minted"), ("github", "replayed"), ("unknown", "malformed")]
    before = [exchanges(*each) for each in outcomes]
    for each in (token, token, "nonsense"):
        mint(client, each)
    assert [exchanges(*each) for each in outcomes] == [count + 1 for count in before]


def test_second_use_of_a_token_is_refused(client: Client, publisher: TrustedPublisher) -> None:
    token = signed(github_claims())
    mint(client, token)
    assert refusal(mint(client, token)) == (
        422,
        "replayed",
        "This identity token was exchanged already; each can be used once. Ask the CI for a new one.\n",
    )


def test_renamed_repository_under_an_old_name_is_refused_and_mailed(
    client: Client, publisher: TrustedPublisher, channel: Channel
) -> None:
    mint(client, signed(github_claims()))
    for _ in range(2):
        status, code, text = refusal(mint(client, signed(github_claims(repository_id="999"))))
        assert (status, code) == (422, "resurrected")
        assert "repository_id" in text
    [event] = AuditEvent.objects.filter(action="publisher.refuse", channel=channel)
    assert event.detail["expected"] == "740510"
    assert event.detail["found"] == "999"


def test_refusal_for_a_known_repository_names_the_field(client: Client, publisher: TrustedPublisher) -> None:
    other = "octo-org/sample/.github/workflows/test.yml@refs/heads/main"
    status, code, text = refusal(mint(client, signed(github_claims(workflow_ref=other, job_workflow_ref=other))))
    assert (status, code) == (422, "publisher_differs")
    assert "test.yml" in text
    assert "release.yml" in text


def test_refusal_for_an_unknown_repository_discloses_no_publisher(client: Client, publisher: TrustedPublisher) -> None:
    workflow = "evil/sample/.github/workflows/release.yml@refs/heads/main"
    claims = github_claims(
        repository="evil/sample",
        repository_owner="evil",
        repository_id="1",
        repository_owner_id="2",
        workflow_ref=workflow,
        job_workflow_ref=workflow,
    )
    status, code, text = refusal(mint(client, signed(claims)))
    assert (status, code) == (422, "no_publisher")
    assert text == (
        "No channel trusts 'evil/sample' of https://token.actions.githubusercontent.com. "
        "Somebody who manages the channel can add it there, under Trusted publishers.\n"
    )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("https://token.actions.githubusercontent.com/", "This hub takes no tokens of the issuer"),
        ("https://evil.example", "This hub takes no tokens of the issuer 'https://evil.example'."),
    ],
)
def test_issuer_must_be_registered_exactly(client: Client, publisher: TrustedPublisher, url: str, message: str) -> None:
    status, code, text = refusal(mint(client, signed(github_claims(issuer=url))))
    assert (status, code) == (422, "unknown_issuer")
    assert message in text


def test_disabled_issuer_is_no_issuer(client: Client, publisher: TrustedPublisher, channel: Channel) -> None:
    secret = mint(client, signed(github_claims())).content.decode()
    Issuer.objects.update(is_enabled=False)
    assert refusal(mint(client, signed(github_claims())))[1] == "unknown_issuer"
    assert permissions(Actor(key=api_keys.look_up(secret)), channel) == set()


def test_audience_is_the_configured_host_for_every_request(
    client: Client, publisher: TrustedPublisher, settings: Settings
) -> None:
    settings.ALLOWED_HOSTS = ["other.example"]
    token = signed(github_claims(aud="other.example"))
    answer = client.post(
        "/api/oidc/mint_token",
        json.dumps({"token": token}),
        content_type="application/json",
        headers={"Host": "other.example"},
    )
    assert refusal(answer)[:2] == (422, "wrong_audience")


def test_old_clients_audience_is_accepted_by_the_setting(
    client: Client, publisher: TrustedPublisher, settings: Settings
) -> None:
    assert mint(client, signed(github_claims(aud="prefix.dev"))).status_code == 422
    settings.HUB_PREFIX_DEV_AUDIENCE = True
    assert mint(client, signed(github_claims(aud="prefix.dev"))).status_code == 200


@pytest.mark.parametrize(
    "body",
    [b"nonsense", b"[]", b'"token"', b"{}", b'{"token": 1}', b'{"token": null}', b'{"token": {"a": "b"}}'],
)
def test_body_must_be_an_object_with_a_token(client: Client, body: bytes) -> None:
    assert refusal(client.post("/api/oidc/mint_token", body, content_type="application/json")) == (
        422,
        "malformed",
        'The body is no JSON object with a text "token"; expected {"token": "<JWT>"}.\n',
    )


def test_exchange_with_a_too_long_body_is_refused(client: Client) -> None:
    answer = mint(client, "x" * 33 * 1024)
    assert refusal(answer) == (422, "malformed", "The body is over 32 KiB.\n")


def test_exchange_by_get_gets_405(client: Client) -> None:
    answer = client.get("/api/oidc/mint_token")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


def test_an_address_may_ask_so_often(client: Client, settings: Settings) -> None:
    settings.HUB_RATE_LIMITS = {"mint-by-address": 3}
    statuses = [mint(client, "nonsense").status_code for _ in range(4)]
    assert statuses == [422, 422, 422, 429]


def test_a_subject_may_ask_so_often(
    client: Client, publisher: TrustedPublisher, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counters, "time", SimpleNamespace(time=lambda: 1_800_000_000.5))
    settings.HUB_RATE_LIMITS = {"mint-by-subject": 2}
    answers = [mint(client, signed(github_claims())) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 0 < int(answers[2].headers["Retry-After"]) <= 60


def test_one_token_serves_every_channel_that_trusts_it(
    client: Client, publisher: TrustedPublisher, channel: Channel
) -> None:
    reading = make_channel("reading")
    make_publisher(reading, publisher.issuer, may_upload=False, may_read=True)
    key = api_keys.look_up(mint(client, signed(github_claims())).content.decode())
    assert permissions(Actor(key=key), channel) == {Permission.UPLOAD}
    assert permissions(Actor(key=key), reading) == {Permission.READ}
    assert permissions(Actor(key=key), make_channel("stranger")) == set()


def test_most_specific_publisher_of_a_channel_decides(client: Client, channel: Channel) -> None:
    fields = {"repository": "octo-org/sample", "workflow": "release.yml"}
    make_publisher(channel, fields=fields, may_read=True)
    make_publisher(channel, fields={**fields, "environment": "release"})
    key = api_keys.look_up(mint(client, signed(github_claims())).content.decode())
    assert permissions(Actor(key=key), channel) == {Permission.UPLOAD}


def test_removed_publisher_takes_its_keys_rights_with_it(
    client: Client, publisher: TrustedPublisher, channel: Channel
) -> None:
    key = api_keys.look_up(mint(client, signed(github_claims())).content.decode())
    publisher.delete()
    assert permissions(Actor(key=key), channel) == set()


def test_publisher_of_a_deleted_channel_is_none(client: Client, publisher: TrustedPublisher) -> None:
    Channel.objects.update(deleted_at=timezone.now())
    assert refusal(mint(client, signed(github_claims())))[1] == "no_publisher"


def test_pending_publisher_makes_its_channel(client: Client, sent_jobs: list[tuple[object, ...]]) -> None:
    nora = make_user("nora")
    pending = make_publisher(None, channel_name="to-be", created_by=nora, expires_at=timezone.now() + timedelta(days=1))
    secret = mint(client, signed(github_claims())).content.decode()
    made = Channel.objects.get(name="to-be")
    assert made.is_private
    assert [(member.user, member.role) for member in made.members.all()] == [(nora, "owner")]
    assert permissions(Actor(key=api_keys.look_up(secret)), made) == {Permission.UPLOAD}
    pending.refresh_from_db()
    assert (pending.channel, pending.channel_name, pending.expires_at) == (made, "", None)


def test_pending_publisher_whose_name_was_taken(client: Client, channel: Channel) -> None:
    make_publisher(None, channel_name=channel.name, created_by=make_user("nora"))
    status, code, text = refusal(mint(client, signed(github_claims())))
    assert (status, code) == (422, "channel_taken")
    assert text.startswith("The channel 'demo' can't be made: There is a channel 'demo' already")
    assert not UsedIdToken.objects.exists()


def test_pending_publisher_is_over_in_time(client: Client) -> None:
    nora = make_user("nora")
    make_publisher(None, channel_name="late", created_by=nora, expires_at=timezone.now() - timedelta(seconds=1))
    assert refusal(mint(client, signed(github_claims())))[1] == "no_publisher"
    publishers.delete_expired()
    assert not TrustedPublisher.objects.exists()


def test_expired_tokens_and_uses_are_deleted(client: Client, publisher: TrustedPublisher) -> None:
    mint(client, signed(github_claims()))
    exchange.delete_expired()
    assert UsedIdToken.objects.count() == ApiKey.objects.count() == 1
    UsedIdToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(days=1, seconds=1))
    exchange.delete_expired()
    assert UsedIdToken.objects.count() == ApiKey.objects.count() == 0


def test_delete_expired_keeps_the_keys_of_users(olga: User) -> None:
    make_key(olga)
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(days=400))
    exchange.delete_expired()
    assert ApiKey.objects.exists()


def test_replay_row_outlives_the_token(client: Client, publisher: TrustedPublisher) -> None:
    claims = github_claims()
    mint(client, signed(claims))
    assert UsedIdToken.objects.get().expires_at.timestamp() > claims["exp"] + 30


def test_expired_short_lived_token_is_refused(publisher: TrustedPublisher) -> None:
    key, secret = make_short_lived_token(publisher)
    ApiKey.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert api_keys.look_up(secret) is None
    assert key.pk


def test_unknown_key_of_an_issuer_that_does_not_answer(client: Client, channel: Channel) -> None:
    make_publisher(channel, make_issuer())
    status, code, text = refusal(mint(client, signed(github_claims(), key_id="key-2")))
    assert (status, code) == (422, "unknown_key")
    assert text.startswith(
        "The token is signed with a key that https://token.actions.githubusercontent.com does not publish. "
        "Its keys could not be refreshed just now."
    )


def test_first_exchange_of_another_repository_of_that_name_at_the_same_moment(
    client: Client, publisher: TrustedPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    matching = publishers.matching

    def and_then_the_other_is_faster(issuer: Issuer, signed_claims: dict[str, Any]) -> list[TrustedPublisher]:
        matched = matching(issuer, signed_claims)
        monkeypatch.setattr(publishers, "matching", matching)
        assert mint(client, signed(github_claims())).status_code == 200
        return matched

    monkeypatch.setattr(publishers, "matching", and_then_the_other_is_faster)
    assert refusal(mint(client, signed(github_claims(repository_id="999")))) == (
        422,
        "no_publisher",
        "The trusted publisher was removed or pinned to other ids at this moment.\n",
    )
