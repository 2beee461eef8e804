"""The page for yanking, restoring, deleting and releasing an artifact."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from pytest_django import DjangoAssertNumQueries, Settings

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, AuditEvent, Channel, Role, User
from publishing.removal import removal
from tests.builders import make_artifact, make_member

FILE = "demo-1.0-0.conda"
ARTIFACT = f"/channels/demo/artifacts/noarch/{FILE}"
PAGE = f"{ARTIFACT}/remove"


@pytest.fixture
def artifact(channel: Channel) -> Artifact:
    return make_artifact(channel)


@pytest.fixture
def owner(client: Client, olga: User) -> Client:
    client.force_login(olga)
    return client


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def offered(client: Client) -> list[str]:
    return re.findall(r'name="action" value="(\w+)"', client.get(PAGE).text)


def state(artifact: Artifact) -> tuple[str, str]:
    artifact.refresh_from_db()
    return artifact.removal, artifact.removal_reason


def message(response: Any) -> str:
    return str(list(get_messages(response.wsgi_request))[-1])


def test_page_offers_the_actions_of_the_state(owner: Client, artifact: Artifact, olga: User, max_: User) -> None:
    make_member(artifact.channel, max_, Role.MAINTAINER)
    actor, maintainer = Actor(user=olga), signed_in(max_)
    assert offered(owner) == offered(maintainer) == ["yank", "delete"]
    removal.yank(actor=actor, artifact=artifact, reason="")
    assert offered(owner) == offered(maintainer) == ["restore", "delete"]
    removal.delete(actor=actor, artifact=artifact, reason="")
    assert (offered(owner), offered(maintainer)) == (["restore", "release"], ["restore"])
    assert "Only an owner of demo can release it" in maintainer.get(PAGE).text
    Artifact.objects.update(is_purged=True)
    assert (offered(owner), offered(maintainer)) == (["release"], [])
    assert "It was deleted permanently." in owner.get(PAGE).text


def test_the_page_says_how_long_there_is_a_way_back(
    owner: Client, artifact: Artifact, olga: User, settings: Settings
) -> None:
    settings.HUB_GRACE_HOURS = 36
    assert "The file can be restored for 36 hours" in owner.get(PAGE).text
    deleted = removal.delete(actor=Actor(user=olga), artifact=artifact, reason="<secret>")
    assert deleted.removed_at
    purge_at = deleted.removed_at + timedelta(hours=36)
    page = owner.get(PAGE).text
    assert "Deleted by olga" in page
    assert "<q>&lt;secret&gt;</q>" in page
    assert f"{purge_at.day} {purge_at:%b %Y, %H:%M} UTC" in page


def test_page_yanks_and_restores_an_artifact(owner: Client, artifact: Artifact) -> None:
    answer = owner.post(PAGE, {"action": "yank", "reason": "broken on win"})
    assert (answer.status_code, answer["Location"]) == (302, ARTIFACT)
    assert message(answer) == f"noarch/{FILE} is yanked: it is no longer in the index, but its URL still works."
    assert state(artifact) == ("yanked", "broken on win")
    answer = owner.post(PAGE, {"action": "restore"})
    assert (answer["Location"], message(answer)) == (ARTIFACT, f"noarch/{FILE} is back in the index.")
    assert state(artifact) == ("", "")
    assert list(AuditEvent.objects.values_list("action", flat=True)) == ["artifact.restore", "artifact.yank"]


def test_deleting_takes_the_files_name(owner: Client, artifact: Artifact) -> None:
    for typed, sentence in [
        ("", "This field is required."),
        ("demo", f"That is &#x27;demo&#x27;; expected &#x27;{FILE}"),
    ]:
        answer = owner.post(PAGE, {"action": "delete", "reason": "kept", "confirmation": typed})
        assert answer.status_code == 422
        assert sentence in answer.text
        assert "kept</textarea>" in answer.text
    assert state(artifact) == ("", "")
    answer = owner.post(PAGE, {"action": "delete", "reason": "secret inside", "confirmation": f" {FILE} "})
    assert (answer["Location"], state(artifact)) == (ARTIFACT, ("deleted", "secret inside"))
    assert message(answer) == f"noarch/{FILE} is deleted. It can be restored until its bytes are purged."


def test_a_reason_has_its_length(owner: Client, artifact: Artifact) -> None:
    answer = owner.post(PAGE, {"action": "yank", "reason": "x" * 501})
    assert (answer.status_code, "at most 500 characters" in answer.text, state(artifact)) == (422, True, ("", ""))


def test_an_owner_releases_a_deleted_name(owner: Client, artifact: Artifact, olga: User) -> None:
    removal.delete(actor=Actor(user=olga), artifact=artifact, reason="")
    assert owner.post(PAGE, {"action": "release", "confirmation": "no"}).status_code == 422
    answer = owner.post(PAGE, {"action": "release", "confirmation": FILE})
    assert (answer.status_code, answer["Location"]) == (302, "/channels/demo")
    assert message(answer) == f"The name noarch/{FILE} is free again."
    assert not Artifact.objects.exists()
    assert owner.get(PAGE).status_code == 404


@pytest.mark.parametrize("action", ["release", "restore", "destroy", ""])
def test_action_that_is_not_offered_is_refused(owner: Client, artifact: Artifact, action: str) -> None:
    answer = owner.post(PAGE, {"action": action, "confirmation": FILE})
    assert (answer.status_code, answer["Location"]) == (302, PAGE)
    assert message(answer).startswith("This action is not possible")
    assert state(artifact) == ("", "")


def test_releasing_is_for_owners_alone(artifact: Artifact, olga: User, max_: User) -> None:
    make_member(artifact.channel, max_, Role.MAINTAINER)
    removal.delete(actor=Actor(user=olga), artifact=artifact, reason="")
    signed_in(max_).post(PAGE, {"action": "release", "confirmation": FILE})
    assert state(artifact) == ("deleted", "")


def test_refused_action_shows_the_error_in_the_form(
    owner: Client, artifact: Artifact, olga: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    removal.delete(actor=Actor(user=olga), artifact=artifact, reason="")

    def purged_meanwhile(**kwargs: Any) -> Artifact:
        Artifact.objects.update(is_purged=True)
        return real(**kwargs)

    real = removal.restore
    monkeypatch.setattr(removal, "restore", purged_meanwhile)
    answer = owner.post(PAGE, {"action": "restore"})
    assert answer.status_code == 422
    assert f"The bytes of demo/noarch/{FILE} are gone; upload the file again." in answer.text


def test_page_without_the_permission_is_refused(artifact: Artifact, channel: Channel, max_: User, sam: User) -> None:
    anonymous = Client().get(PAGE)
    assert (anonymous.status_code, anonymous["Location"]) == (302, f"/accounts/login/?next={PAGE}")
    for method in ("get", "post"):
        assert getattr(signed_in(sam), method)(PAGE).status_code == 404
    make_member(channel, max_, Role.CONTRIBUTOR)
    for method in ("get", "post"):
        assert getattr(signed_in(max_), method)(PAGE, {"action": "yank"}).status_code == 403
    assert signed_in(max_).delete(PAGE).status_code == 405
    assert state(artifact) == ("", "")


def test_posting_takes_the_token(artifact: Artifact, olga: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(olga)
    assert strict.post(PAGE, {"action": "yank"}).status_code == 403
    assert state(artifact) == ("", "")


def test_an_unknown_file_is_404(owner: Client, artifact: Artifact) -> None:
    assert owner.get(PAGE.replace("noarch", "linux-64")).status_code == 404


def test_the_page_costs_six_queries(
    owner: Client, artifact: Artifact, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(6):  # session, user, channel, role, artifact, role again
        owner.get(PAGE)
