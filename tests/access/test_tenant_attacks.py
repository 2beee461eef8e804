"""Tests of the isolation of tenants against attacks by users with their own accounts."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from channels_app.access.permissions import Actor, Permission, permissions
from channels_app.authentication import api_keys
from channels_app.channels import channels
from channels_app.models import ApiKey, Channel, Role, User
from publishing.models import Issuer, TrustedPublisher
from publishing.trusted import candidates, publishers
from tests.access.test_tenants import FIELDS, GITHUB, mint
from tests.builders import make_channel, make_issuer, make_key, make_member, make_publisher, make_robot, make_user
from tests.id_tokens.builders import AUDIENCE
from tests.threads import at_once, shared_database

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def audience(settings: Settings) -> None:
    settings.PUBLIC_HOST = AUDIENCE


@pytest.fixture
def issuer(db: None) -> Issuer:
    return make_issuer()


def run_of(repository: str, repository_id: str) -> dict[str, str]:
    """Return the claims of a run of another repository than the default."""
    path = f"{repository}/.github/workflows/release.yml@refs/heads/main"
    names = {"repository": repository, "repository_id": repository_id, "sub": f"repo:{repository}"}
    return names | {"workflow_ref": path, "job_workflow_ref": path}


def status_of(run: dict[str, str]) -> int:
    return int(mint(Client(), **run).status_code)


def short_lived(client: Client, **changes: Any) -> ApiKey:
    key = api_keys.look_up(mint(client, **changes).content.decode())
    assert key is not None
    return key


def robot_adds(channel: Channel, owner: User, issuer: Issuer) -> TrustedPublisher:
    """Add a publisher with a channel key, which belongs to no user."""
    scopes = (Permission.READ, Permission.UPLOAD, Permission.MANAGE)
    robot = api_keys.look_up(make_robot(channel, owner, scopes=scopes))
    return publishers.add(actor=Actor(key=robot), channel=channel, issuer=issuer, fields=GITHUB.clean(FIELDS))


def test_channels_of_one_user_are_one_tenant_for_every_creator(
    client: Client, issuer: Issuer, olga: User, sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: channel keys of one user displaced the new publishers of a repository of all other users."""
    monkeypatch.setattr(candidates, "SERVED_MAX", 3)
    for number in range(4):
        robot_adds(make_channel(f"sams-{number}", owner=sam), sam, issuer)
    make_publisher(make_channel("olgas", owner=olga), issuer, created_by=olga)
    served = {str(publisher.channel) for publisher in short_lived(client).publishers.all()}
    assert "olgas" in served
    assert len(served) == 3


def test_one_users_publishers_of_an_issuer_displace_no_other_users(
    client: Client, olga: User, sam: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: publishers of a generic issuer are compared for each token, and one user's came before all others."""
    monkeypatch.setattr(candidates, "COMPARED_MAX", 3)
    forge = Issuer.objects.create(provider="generic", url="https://forge.example", is_enabled=True)
    channel = make_channel("sams", owner=sam)
    for number in range(4):
        fields = {"conditions": f"sub = other:{number}"}
        make_publisher(channel, forge, created_by=sam, fields=fields, last_used_at=timezone.now())
    make_publisher(make_channel("olgas", owner=olga), forge, created_by=olga, fields={"conditions": "sub = mine"})
    found = candidates.find(forge, {"sub": "mine"})
    assert "olgas" in {str(publisher.channel) for publisher in found}
    assert len(found) == 3


def test_publisher_without_rights_displaces_none_that_has_some(
    client: Client, issuer: Issuer, channel: Channel, olga: User, max_: User
) -> None:
    """Regression: a former maintainer's more specific publisher displaced the channel's own, and CI had no rights."""
    member = make_member(channel, max_, Role.MAINTAINER)
    scopes = (Permission.READ, Permission.UPLOAD, Permission.MANAGE)
    key = api_keys.look_up(make_key(max_, scopes=scopes))
    specific = GITHUB.clean(FIELDS | {"ref_type": "branch"})
    make_publisher(channel, issuer, created_by=olga)
    publishers.add(actor=Actor(user=max_, key=key), channel=channel, issuer=issuer, fields=specific)
    member.delete()
    assert permissions(Actor(key=short_lived(client, ref_type="branch")), channel) == {Permission.UPLOAD}


def test_pending_publisher_that_is_over_does_not_come_back_with_its_channel(issuer: Issuer, olga: User) -> None:
    publishers.add_pending(user=olga, channel_name="shared", issuer=issuer, fields=GITHUB.clean(FIELDS))
    TrustedPublisher.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    channels.create(name="shared", owner=olga, is_private=True)
    assert not TrustedPublisher.objects.filter(channel__name="shared").exists()


def test_same_subject_of_another_repository_uses_up_no_exchanges(
    client: Client, issuer: Issuer, channel: Channel, settings: Settings
) -> None:
    """Count exchanges by repository, too: repositories choose their subject, and a shared workflow makes it equal."""
    settings.HUB_RATE_LIMITS = {"mint-by-subject": 2}
    make_publisher(channel, issuer)
    subject = "job_workflow_ref:octo-org/shared/.github/workflows/publish.yml@refs/heads/main"
    others = run_of("evil/own", "666") | {"sub": subject}
    for _ in range(4):
        mint(client, **others)
    assert mint(client, sub=subject).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_exchanges_of_the_same_users_at_once_wait_for_each_other(settings: Settings, tmp_path: Path) -> None:
    """Run exchanges that create channels of both users in another order: PostgreSQL reported a deadlock."""
    issuer, users = make_issuer(), [make_user("olga"), make_user("sam")]
    for number, order in enumerate((users, users[::-1], users)):
        fields = FIELDS | {"repository": f"octo-org/repository-{number}"}
        for user in order:
            make_publisher(None, issuer, channel_name=f"{user}-{number}", created_by=user, fields=fields)
    runs = [run_of(f"octo-org/repository-{number}", str(number + 1)) for number in range(3)]
    with shared_database(tmp_path):
        done = at_once(*(partial(status_of, run) for run in runs))
        assert done == [200] * 3
        assert at_once(Channel.objects.count) == [6]
