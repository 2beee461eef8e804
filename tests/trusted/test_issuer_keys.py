"""The keys of issuers over time: rotation, unknown key ids, and issuers that are down, slow or wrong."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from django.db.models import F
from django.utils import timezone
from pytest_django import Settings

from hub import fetching
from hub.sizes import MIB
from publishing.id_tokens.claims import BadToken
from publishing.models import Issuer
from publishing.trusted import exchange, issuers
from tests.builders import make_publisher
from tests.id_tokens.builders import jwk, key_set
from tests.oidc import DISCOVERY, KEYS, Answer, FakeIssuer, as_json, fake_issuer
from tests.threads import at_once, shared_database

pytestmark = pytest.mark.django_db

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
AT_ONCE = 10
TIMEOUT_S = 2


@pytest.fixture
def ci(settings: Settings) -> Iterator[FakeIssuer]:
    """Start the fake issuer of a CI."""
    with fake_issuer() as ci:
        settings.HUB_INTERNAL_HOSTS = [ci.host]
        settings.PUBLIC_HOST = "127.0.0.1"
        yield ci


@pytest.fixture
def issuer(ci: FakeIssuer) -> Issuer:
    """Register the issuer with a publisher, so that its keys are refreshed."""
    issuer = Issuer.objects.create(url=ci.url, provider="github")
    make_publisher(issuer=issuer, channel_name="wanted")
    return issuer


def outcome(token: str) -> str:
    """Return "good", or the code of the refusal."""
    try:
        exchange.verified(token)
    except BadToken as error:
        return str(error.code)
    return "good"


def sentence(token: str) -> str:
    with pytest.raises(BadToken) as caught:
        exchange.verified(token)
    return caught.value.reason


def let_pass(time: timedelta) -> None:
    Issuer.objects.update(tried_at=F("tried_at") - time, fetched_at=F("fetched_at") - time)


def ask_for_unknown_keys(ci: FakeIssuer, count: int) -> None:
    """Look up unknown key ids, as any stranger can cause it: this happens before the signature is verified."""
    for number in range(count):
        with pytest.raises(BadToken, match="The token is signed with a key that"):
            issuers.key(issuers.registered(ci.url), f"unknown-{number}")


@pytest.mark.django_db(transaction=True)
def test_key_rotation_under_traffic_refuses_no_token(ci: FakeIssuer, issuer: Issuer, tmp_path: Path) -> None:
    def rush(*key_ids: str) -> set[object]:
        tokens = []
        for ci.signs_with in key_ids:
            tokens += [ci.token() for _ in range(AT_ONCE)]
        return set(at_once(*[partial(outcome, token) for token in tokens]))

    with shared_database(tmp_path):
        assert rush("A") == {"good"}
        assert ci.key_fetches() == 1

        ci.published = ["A", "B"]
        at_once(partial(let_pass, MINUTE))
        assert rush("A", "B") == {"good"}
        assert ci.key_fetches() == 2

        ci.published = ["B"]
        assert rush("A", "B") == {"good"}
        at_once(partial(let_pass, HOUR))
        at_once(issuers.refresh_all)
        assert rush("B") == {"good"}
        assert ci.key_fetches() == 3
        assert rush("A") == {"unknown_key"}


def test_key_that_is_used_within_the_minute_of_its_publication_has_to_wait(ci: FakeIssuer, issuer: Issuer) -> None:
    assert outcome(ci.token()) == "good"
    ci.published, ci.signs_with = ["A", "B"], "B"
    assert outcome(ci.token()) == "unknown_key"
    let_pass(MINUTE)
    assert outcome(ci.token()) == "good"


def test_ten_thousand_unknown_key_ids_cause_one_fetch_a_minute(ci: FakeIssuer, issuer: Issuer) -> None:
    assert outcome(ci.token()) == "good"
    let_pass(MINUTE)
    begun = time.monotonic()
    ask_for_unknown_keys(ci, 10_000)
    fetches = ci.key_fetches()
    assert 2 <= fetches <= 2 + (time.monotonic() - begun) // 60
    assert outcome(ci.token()) == "good"

    let_pass(MINUTE)
    ask_for_unknown_keys(ci, 100)
    assert ci.key_fetches() == fetches + 1


def test_dead_fetch_does_not_delay_other_requests(ci: FakeIssuer, issuer: Issuer) -> None:
    Issuer.objects.update(tried_at=timezone.now() - issuers.ASKING_MAX, failure=issuers.ASKING)
    begun = time.monotonic()
    assert outcome(ci.token()) == "unknown_key"
    assert time.monotonic() - begun < issuers.ASKING_MAX.total_seconds()
    let_pass(MINUTE)
    assert outcome(ci.token()) == "good"


def test_unknown_issuer_is_not_asked(ci: FakeIssuer) -> None:
    assert sentence(ci.token()) == f"This hub takes no tokens of the issuer '{ci.url}'. An administrator can add it."
    assert ci.received == []


def test_disabled_issuer_is_not_asked(ci: FakeIssuer, issuer: Issuer) -> None:
    Issuer.objects.update(is_enabled=False)
    assert outcome(ci.token()) == "unknown_issuer"
    issuers.refresh_all()
    assert ci.received == []


def test_keys_are_refreshed_within_the_hour_and_not_at_every_occasion(ci: FakeIssuer, issuer: Issuer) -> None:
    for minutes, fetches in [(0, 1), (49, 1), (2, 2), (49, 2), (2, 3)]:
        let_pass(timedelta(minutes=minutes))
        issuers.refresh_all()
        assert ci.key_fetches() == fetches


def test_issuer_without_publishers_is_not_asked_in_the_background(ci: FakeIssuer, issuer: Issuer) -> None:
    issuer.publishers.all().delete()
    issuers.refresh_all()
    assert ci.received == []


def test_keys_of_an_issuer_that_is_down_serve_for_a_day(ci: FakeIssuer, issuer: Issuer) -> None:
    assert outcome(ci.token()) == "good"
    ci.is_down = True
    for _ in range(23):
        let_pass(HOUR)
        issuers.refresh_all()
        assert outcome(ci.token()) == "good"
    issuer.refresh_from_db()
    assert "does not answer" in issuer.failure

    for _ in range(2):
        let_pass(HOUR)
        issuers.refresh_all()
        assert outcome(ci.token()) == "unknown_key"
    assert sentence(ci.token()) == (
        f"The token is signed with a key that {ci.url} does not publish. Its keys could not be refreshed just now."
    )

    ci.is_down = False
    let_pass(MINUTE)
    assert outcome(ci.token()) == "good"
    issuer.refresh_from_db()
    assert issuer.failure == ""


def discovery(**changes: object) -> Callable[[FakeIssuer], Answer]:
    return lambda ci: as_json({"issuer": ci.url, "jwks_uri": f"{ci.url}{KEYS}"} | changes)


def always(*answer: object) -> Callable[[FakeIssuer], Answer]:
    return lambda ci: answer  # type: ignore[return-value]


REDIRECT = always(302, b"", {"Location": KEYS})
TOO_LARGE = always(200, b" " * MIB + b"{}", {})
BAD_DOCUMENTS: dict[str, tuple[str, Callable[[FakeIssuer], Answer], str]] = {
    "another issuer": (
        DISCOVERY,
        discovery(issuer="https://other.example"),
        "is of the issuer 'https://other.example'",
    ),
    "issuer with a slash": (
        DISCOVERY,
        lambda ci: as_json({"issuer": f"{ci.url}/", "jwks_uri": f"{ci.url}{KEYS}"}),
        "The discovery document is of the issuer",
    ),
    "no issuer": (DISCOVERY, discovery(issuer=None), "is of the issuer None"),
    "no jwks_uri": (DISCOVERY, discovery(jwks_uri=None), "jwks_uri is None; expected a URL"),
    "keys on another host": (DISCOVERY, discovery(jwks_uri="https://other.example/keys"), "expected it on 127.0.0.1:"),
    "keys on another port": (DISCOVERY, discovery(jwks_uri="http://127.0.0.1:9/keys"), "expected it on 127.0.0.1:"),
    "keys at a broken address": (DISCOVERY, discovery(jwks_uri="http://[/keys"), "jwks_uri is 'http://[/keys'"),
    "keys in a file": (DISCOVERY, discovery(jwks_uri="file:///etc/passwd"), "expected https"),
    "discovery moved": (DISCOVERY, REDIRECT, "answers 302; expected 200."),
    "discovery too large": (DISCOVERY, TOO_LARGE, "answers more than 1 MiB."),
    "discovery is HTML": (DISCOVERY, always(200, b"<html>", {}), "The discovery document is not strict JSON"),
    "discovery is a list": (
        DISCOVERY,
        always(200, b"[]", {}),
        "The discovery document holds a list; expected an object",
    ),
    "keys moved": (KEYS, REDIRECT, "answers 302; expected 200."),
    "keys missing": (KEYS, always(404, b"", {}), "answers 404; expected 200."),
    "keys too large": (KEYS, TOO_LARGE, "answers more than 1 MiB."),
    "keys cut off": (KEYS, always(200, b'{"keys": [', {}), "The key set is not strict JSON"),
    "keys longer than said": (KEYS, always(200, b"{}", {"Content-Length": "10"}), "takes too long to answer."),
    "keys twice": (KEYS, always(200, b'{"keys": [], "keys": []}', {}), "the key 'keys' stands twice in one object"),
    "no list of keys": (KEYS, always(200, b'{"keys": {}}', {}), "The key set has no list keys"),
    "no keys": (KEYS, always(200, b'{"keys": []}', {}), "The key set has no RSA key of 2048 bits or more"),
    "101 keys": (KEYS, lambda ci: as_json({"keys": [jwk("A")] * 101}), "The key set has 101 keys; at most 100"),
    "two keys of one id": (KEYS, lambda ci: as_json({"keys": [jwk("A")] * 2}), "two keys with the kid 'A'"),
    "symmetric keys": (KEYS, lambda ci: as_json({"keys": [{"kty": "oct", "kid": "B", "k": "AA"}]}), "no RSA key"),
}


@pytest.mark.parametrize(("path", "answer", "reason"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS)
def test_old_keys_outlast_a_bad_document(
    ci: FakeIssuer,
    issuer: Issuer,
    path: str,
    answer: Callable[[FakeIssuer], Answer],
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetching, "get", partial(fetching.get, timeout_s=TIMEOUT_S))
    assert outcome(ci.token()) == "good"
    let_pass(MINUTE)
    ci.published, ci.answers = ["A", "B"], {path: answer(ci)}
    ci.signs_with = "B"
    assert outcome(ci.token()) == "unknown_key"
    issuer.refresh_from_db()
    assert reason in issuer.failure
    ci.signs_with = "A"
    assert outcome(ci.token()) == "good"

    ci.signs_with, ci.answers = "B", {}
    let_pass(MINUTE)
    assert outcome(ci.token()) == "good"


def test_token_of_a_slow_issuer_is_refused(ci: FakeIssuer, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "get", partial(fetching.get, timeout_s=TIMEOUT_S))
    ci.may_answer.clear()
    assert outcome(ci.token()) == "unknown_key"
    issuer.refresh_from_db()
    assert issuer.failure.endswith("/.well-known/openid-configuration takes too long to answer.")
    ci.may_answer.set()
    assert outcome(ci.token()) == "unknown_key"
    let_pass(MINUTE)
    assert outcome(ci.token()) == "good"


def test_keys_on_a_host_that_an_administrator_allows(ci: FakeIssuer, issuer: Issuer, settings: Settings) -> None:
    with fake_issuer() as other:
        settings.HUB_INTERNAL_HOSTS = [ci.host, other.host]
        ci.answers = {DISCOVERY: as_json({"issuer": ci.url, "jwks_uri": f"{other.url}{KEYS}"})}
        assert outcome(ci.token()) == "unknown_key"
        assert other.received == []
        Issuer.objects.update(key_hosts=[other.host])
        let_pass(MINUTE)
        assert outcome(ci.token()) == "good"
        assert (ci.key_fetches(), other.key_fetches()) == (0, 1)


def test_key_of_another_issuer_is_not_taken(ci: FakeIssuer, issuer: Issuer, settings: Settings) -> None:
    with fake_issuer() as other:
        other.published, other.signs_with = ["C"], "C"
        settings.HUB_INTERNAL_HOSTS = [ci.host, other.host]
        Issuer.objects.create(url=other.url, provider="github")
        assert outcome(other.token()) == "good"
        assert outcome(ci.token()) == "good"
        ci.signs_with = "C"
        assert outcome(ci.token()) == "unknown_key"


def test_same_key_id_with_another_key(ci: FakeIssuer, issuer: Issuer) -> None:
    ci.answers = {KEYS: as_json({"keys": [key_set("B")["keys"][0] | {"kid": "A"}]})}
    assert outcome(ci.token()) == "bad_signature"
