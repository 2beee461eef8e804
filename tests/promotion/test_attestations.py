"""Attestations of promoted files: they go along if they hold in the target, or if a rule says so."""

import base64
import json

import pytest
from pytest_django import DjangoCaptureOnCommitCallbacks, Settings

from channels_app.access.permissions import Actor
from channels_app.models import Channel, User
from hub.storage import store
from publishing.attestations import sidecars
from publishing.promotion import promotions, records, rollback, rules
from publishing.promotion.plan import GOES_ALONG, STAYS_BEHIND, Wanted
from tests.promotion.calls import promote, refusal
from tests.sample_channel import build_index, found, read

pytestmark = pytest.mark.django_db
FILE = "noarch/tool-2.0-0.conda"


def bundle(target_channel: str | None) -> str:
    """Return as much of a bundle as a promotion reads."""
    predicate = None if target_channel is None else {"targetChannel": target_channel}
    payload = base64.b64encode(json.dumps({"predicate": predicate}).encode()).decode()
    return json.dumps({"dsseEnvelope": {"payload": payload}})


def attest(channel: Channel, *bundles: str) -> None:
    artifact = channel.artifacts.get(version="2.0")
    for position, each in enumerate(bundles):
        artifact.attestations.create(position=position, bundle=each, claims={"repository": "octo-org/sample"})
    sidecars.rewrite(artifact)


def notes(source: Channel, target: Channel, user: User) -> set[str]:
    wanted = Wanted(Actor(user=user), source, target)
    return {each.note for each in promotions.preview(wanted=wanted, selection=source.artifacts.all()) if each.note}


@pytest.fixture
def elsewhere(settings: Settings) -> str:
    """Return a bundle for the staging channel."""
    return bundle(f"{settings.HUB_PUBLIC_URL}/staging")


def test_attestation_that_names_no_other_channel_goes_along(
    staging: Channel,
    channel: Channel,
    olga: User,
    elsewhere: str,
    settings: Settings,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    lasting = [bundle(None), bundle(f"{settings.HUB_PUBLIC_URL}/demo")]
    attest(staging, lasting[0], elsewhere, lasting[1])
    channel.require_attestation = True
    channel.save()
    assert refusal(lambda: promote(staging, channel, olga, {"version": "2.0"})) == (422, "attestation_missing")
    rules.save(actor=Actor(user=olga), channel=channel, source="staging", needs="upload")
    assert notes(staging, channel, olga) == set()
    with django_capture_on_commit_callbacks(execute=True):
        promote(staging, channel, olga, {"version": "2.0"})
    assert json.loads(read(f"demo/{FILE}.sigs")) == [json.loads(each) for each in lasting]
    copied = channel.artifacts.get()
    assert store().stat(f"demo/{FILE}.sigs.{copied.attestations_sha256}")
    assert copied.attestations.values_list("claims", flat=True)[0] == {"repository": "octo-org/sample"}
    build_index(channel)
    assert found(channel, is_hashed=True) == []


def test_attestation_for_another_channel_stays_behind(
    staging: Channel, channel: Channel, olga: User, elsewhere: str
) -> None:
    attest(staging, elsewhere)
    assert notes(staging, channel, olga) == {STAYS_BEHIND}
    promote(staging, channel, olga)
    assert channel.artifacts.get(version="2.0").attestations_sha256 == ""
    assert store().stat(f"demo/{FILE}.sigs") is None


def test_rule_accepts_attestations_for_the_other_channel(
    staging: Channel,
    channel: Channel,
    olga: User,
    elsewhere: str,
    django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks,
) -> None:
    attest(staging, elsewhere)
    channel.require_attestation = True
    channel.save()
    selected = {"version": "2.0"}
    assert refusal(lambda: promote(staging, channel, olga, selected)) == (422, "attestation_missing")
    actor = Actor(user=olga)
    rules.save(actor=actor, channel=channel, source="staging", needs="upload", keeps_attestations=True)
    assert notes(staging, channel, olga) == {GOES_ALONG}
    with django_capture_on_commit_callbacks(execute=True):
        promotion = promote(staging, channel, olga, selected)
    assert json.loads(read(f"demo/{FILE}.sigs")) == [json.loads(elsewhere)]
    assert refusal(lambda: promote(staging, channel, olga, {"version": "1.0"})) == (422, "attestation_missing")
    build_index(channel)
    assert found(channel, is_hashed=True) == []
    rollback.roll_back(actor=actor, promotion=promotion)
    with django_capture_on_commit_callbacks(execute=True):
        promote(staging, channel, olga, selected)
    assert channel.artifacts.get().attestations.count() == 1


def test_failed_promotion_leaves_no_sidecar(
    staging: Channel, channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    attest(staging, bundle(None))
    monkeypatch.setattr(records, "record", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        promote(staging, channel, olga)
    assert list(store().list("demo/")) == []
