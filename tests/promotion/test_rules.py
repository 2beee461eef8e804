"""Rules of a channel for promotions to it, and the decision of a second person."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from channels_app.access.permissions import Actor
from channels_app.audit import notifications
from channels_app.models import ApiKey, AuditEvent, Channel, Member, Outgoing, Role, User
from hub.errors import HubError
from hub.storage import store
from publishing.models import Attestation, Promotion, PromotionState, Reservation
from publishing.promotion import approvals, promotions, rules
from tests.builders import make_channel, make_member, make_robot, make_team, make_team_member, make_user
from tests.promotion.calls import promote, refusal
from tests.sample_channel import build_index, found

pytestmark = pytest.mark.django_db


def add_rule(channel: Channel, user: User, source: str = "staging", **values: Any) -> None:
    rules.save(actor=Actor(user=user), channel=channel, source=source, **{"needs": "upload"} | values)


@pytest.fixture
def pia(staging: Channel, channel: Channel) -> User:
    """Return a maintainer of both channels."""
    pia = make_user("pia", email="pia@example.org")
    make_member(staging, pia, Role.MAINTAINER)
    make_member(channel, pia, Role.MAINTAINER)
    return pia


@pytest.fixture
def waiting(staging: Channel, channel: Channel, olga: User, pia: User) -> Promotion:
    """Return a promotion of Olga that a second person has to approve."""
    add_rule(channel, olga, needs_approval=True)
    return promote(staging, channel, olga)


def approve(promotion: Promotion, user: User) -> Promotion:
    return approvals.approve(actor=Actor(user=user), promotion=promotion)


def test_channel_with_rules_accepts_promotions_from_their_sources(
    staging: Channel, channel: Channel, olga: User
) -> None:
    add_rule(channel, olga, "other")
    assert refusal(lambda: promote(staging, channel, olga)) == (403, "no_promotion_rule")
    add_rule(channel, olga, "*")
    promote(staging, channel, olga)


@pytest.mark.parametrize(
    ("needs", "role", "is_allowed"),
    [
        ("upload", Role.CONTRIBUTOR, True),
        ("manage", Role.CONTRIBUTOR, False),
        ("manage", Role.MAINTAINER, True),
        ("own", Role.MAINTAINER, False),
        ("own", Role.OWNER, True),
    ],
)
def test_rule_names_the_right_of_the_promoter(
    staging: Channel, channel: Channel, olga: User, sam: User, needs: str, role: str, is_allowed: bool
) -> None:
    make_member(staging, sam)
    make_member(channel, sam, role)
    add_rule(channel, olga, needs=needs)
    if is_allowed:
        promote(staging, channel, sam)
    else:
        assert refusal(lambda: promote(staging, channel, sam)) == (403, "role_missing")


def test_rule_of_a_channel_goes_before_the_one_for_all_others(staging: Channel, channel: Channel, olga: User) -> None:
    add_rule(channel, olga, "*", needs_approval=True)
    add_rule(channel, olga)
    assert promote(staging, channel, olga).state == PromotionState.DONE


def test_rule_allows_promotions_where_only_trusted_publishers_upload(
    staging: Channel, channel: Channel, olga: User
) -> None:
    channel.only_trusted_publishers = True
    channel.save()
    add_rule(channel, olga)
    promote(staging, channel, olga)


@pytest.mark.parametrize("source", ["demo", "Staging", "a b", "", "**"])
def test_rule_for_no_other_channel_is_refused(channel: Channel, olga: User, source: str) -> None:
    assert refusal(lambda: add_rule(channel, olga, source)) == (422, "bad_promotion_rule")


def test_rules_are_policies_that_only_people_change(channel: Channel, olga: User) -> None:
    key = ApiKey(owner=olga, scopes=["manage"], all_channels=True)
    key.save()
    by_key = Actor(user=olga, key=key)
    refused = refusal(lambda: rules.save(actor=by_key, channel=channel, source="staging", needs="upload"))
    assert refused == (403, "person_needed")
    add_rule(channel, olga)
    add_rule(channel, olga, needs_approval=True)
    rules.remove(actor=Actor(user=olga), channel=channel, source="staging")
    events = AuditEvent.objects.filter(action="policy.change").order_by("pk")
    changes = [event.detail["changes"]["Promotions from staging"] for event in events]
    assert changes == [
        {"from": "no rule", "to": "by those with the right to upload"},
        {"from": "by those with the right to upload", "to": "by those with the right to upload, with a second person"},
        {"from": "by those with the right to upload, with a second person", "to": "no rule"},
    ]


def test_promotion_waits_for_a_second_person(waiting: Promotion, channel: Channel, olga: User, pia: User) -> None:
    assert waiting.state == PromotionState.WAITING
    assert not channel.artifacts.exists()
    assert not Reservation.objects.exists()
    assert list(store().list("demo/")) == []
    assert refusal(lambda: approve(waiting, olga)) == (403, "second_person_needed")
    approve(waiting, pia)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.decided_by) == (PromotionState.DONE, pia)
    assert set(channel.artifacts.values_list("uploaded_by__username", flat=True)) == {"olga"}
    assert refusal(lambda: approve(waiting, pia)) == (409, "not_waiting")
    build_index(channel)
    assert found(channel, is_hashed=True) == []


def test_those_who_may_approve_get_a_mail(
    waiting: Promotion, channel: Channel, staging: Channel, olga: User, pia: User, mailoutbox: list[Any]
) -> None:
    """Blind can't see the source, Vic may not upload; Tea is a member of both channels by a team."""
    blind, vic, tea = (make_user(name, email=f"{name}@example.org") for name in ("blind", "vic", "tea"))
    make_member(channel, blind, Role.CONTRIBUTOR)
    make_member(channel, vic), make_member(staging, vic)
    team = make_team("shippers", tea)
    make_team_member(channel, team, Role.CONTRIBUTOR), make_team_member(staging, team)
    event = AuditEvent.objects.get(action="promotion.request")
    assert Outgoing.objects.filter(args=[event.pk]).exists()
    assert notifications.recipients(event.pk) == [pia.pk, tea.pk]
    notifications.send(event.pk, pia.pk)
    [mail] = mailoutbox
    assert mail.subject == "A promotion to demo waits for your approval"
    assert "olga wants to promote 3 files from staging to demo" in mail.body
    assert f"/channels/demo/settings/promotions/{waiting.pk}" in mail.body


def test_approval_requires_the_rights_in_both_channels(waiting: Promotion, channel: Channel, sam: User) -> None:
    make_member(channel, sam, Role.OWNER)
    assert refusal(lambda: approve(waiting, sam)) == (403, "source_hidden")
    assert not approvals.may_decide(Actor(user=sam), waiting)


def test_key_approves_no_promotion(waiting: Promotion, pia: User) -> None:
    key = ApiKey(owner=pia, scopes=["read", "upload", "delete", "manage"], all_channels=True)
    key.save()
    refused = refusal(lambda: approvals.approve(actor=Actor(user=pia, key=key), promotion=waiting))
    assert refused == (403, "person_needed")


def test_approval_of_a_requester_without_rights_is_refused(
    waiting: Promotion, channel: Channel, olga: User, pia: User
) -> None:
    Member.objects.filter(channel=channel, user=olga).delete()
    assert refusal(lambda: approve(waiting, pia)) == (409, "requester_lost_rights")


def test_approval_of_files_that_changed_is_refused(waiting: Promotion, staging: Channel, pia: User) -> None:
    staging.artifacts.filter(version="2.0").update(sha256="0" * 64)
    assert refusal(lambda: approve(waiting, pia)) == (409, "changed_meanwhile")
    waiting.refresh_from_db()
    assert waiting.state == PromotionState.WAITING


def test_second_person_refuses_and_the_requester_withdraws(
    waiting: Promotion, staging: Channel, channel: Channel, olga: User, pia: User, sam: User
) -> None:
    assert refusal(lambda: approvals.refuse(actor=Actor(user=sam), promotion=waiting)) == (403, "source_hidden")
    approvals.refuse(actor=Actor(user=pia), promotion=waiting, reason="Untested.")
    assert (waiting.state, waiting.failure, waiting.decided_by) == (PromotionState.REFUSED, "Untested.", pia)
    again = promote(staging, channel, olga)
    approvals.refuse(actor=Actor(user=olga), promotion=again)
    assert again.state == PromotionState.REFUSED
    assert not channel.artifacts.exists()


def test_promotion_that_waits_for_long_is_refused(waiting: Promotion) -> None:
    approvals.refuse_expired()
    Promotion.objects.update(created_at=timezone.now() - timedelta(days=31))
    approvals.refuse_expired()
    waiting.refresh_from_db()
    assert (waiting.state, waiting.failure) == (PromotionState.REFUSED, "It was not approved within 30 days.")


def test_promotion_of_a_channel_key_needs_one_person(staging: Channel, channel: Channel, olga: User) -> None:
    add_rule(channel, olga, needs_approval=True)
    Channel.objects.filter(pk=staging.pk).update(is_private=False)
    make_robot(channel, olga)
    promotion = promote(staging, channel, Actor(key=ApiKey.objects.get(robot_of=channel)))
    approve(promotion, olga)
    assert channel.artifacts.count() == 3


def test_promotion_that_is_approved_twice_at_once_is_carried_out_once(waiting: Promotion, pia: User) -> None:
    stale = Promotion.objects.select_related("target", "source", "created_by").get(pk=waiting.pk)
    approve(waiting, pia)
    assert refusal(lambda: approve(stale, pia)) == (409, "not_waiting")


def test_approved_promotion_whose_process_was_killed_is_completed(
    waiting: Promotion, channel: Channel, pia: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(promotions, "carry_out", lambda *_: None)
        approve(waiting, pia)
    Promotion.objects.update(started_at=timezone.now() - promotions.ABANDONED_AFTER)
    promotions.finish_abandoned()
    assert channel.artifacts.count() == 3


def test_promotion_to_a_new_channel_without_rules_needs_no_approval(staging: Channel, olga: User) -> None:
    assert promote(staging, make_channel("new", owner=olga), olga).state == PromotionState.DONE


def test_decision_does_not_name_a_hidden_source(waiting: Promotion, channel: Channel, sam: User) -> None:
    make_member(channel, sam, Role.MAINTAINER)
    for decide in (approvals.approve, approvals.refuse):
        with pytest.raises(HubError) as refused:
            decide(actor=Actor(user=sam), promotion=waiting)
        assert refused.value.code == "source_hidden"
        assert "staging" not in refused.value.detail


def test_request_of_a_revoked_key_is_not_approved(staging: Channel, channel: Channel, olga: User, pia: User) -> None:
    add_rule(channel, olga, needs_approval=True)
    key = ApiKey.objects.create(owner=olga, scopes=["read", "upload"], all_channels=True)
    waiting = promote(staging, channel, Actor(user=olga, key=key))
    ApiKey.objects.update(revoked_at=timezone.now())
    assert refusal(lambda: approve(waiting, pia)) == (409, "requester_lost_rights")


def test_requester_can_have_a_limited_number_of_waiting_promotions(
    waiting: Promotion, staging: Channel, channel: Channel, olga: User, pia: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promotions, "WAITING_MAX", 1)
    assert refusal(lambda: promote(staging, channel, olga)) == (409, "waiting_limit")
    promote(staging, channel, pia)


def test_attestation_of_another_channels_publisher_counts_only_by_a_rule(
    staging: Channel, channel: Channel, olga: User
) -> None:
    payload = base64.b64encode(json.dumps({"predicate": None}).encode()).decode()
    bundle = json.dumps({"dsseEnvelope": {"payload": payload}})
    for artifact in staging.artifacts.all():
        Attestation.objects.create(artifact=artifact, position=0, bundle=bundle, claims={})
    staging.artifacts.update(attestations_sha256="0" * 64)
    channel.require_attestation = True
    channel.save()
    assert refusal(lambda: promote(staging, channel, olga)) == (422, "attestation_missing")
    add_rule(channel, olga)
    assert promote(staging, channel, olga).state == PromotionState.DONE
