"""Trusted publishers: adding, pinning and removing them, and the permissions of their tokens."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from channels_app.access.permissions import Actor
from channels_app.models import AuditEvent, Channel, Role, User
from hub import fetching
from hub.errors import HubError
from publishing.id_tokens.providers import PROVIDERS
from publishing.models import TrustedPublisher
from publishing.trusted import publishers
from publishing.uploads.upload import publish
from tests.archives import make_conda
from tests.builders import make_channel, make_issuer, make_member, make_publisher, make_short_lived_token, received

pytestmark = pytest.mark.django_db
FIELDS = {"repository": "octo-org/sample", "workflow": "release.yml", "environment": "release"}


def add(channel: Channel, user: User, **values: Any) -> TrustedPublisher:
    issuer = make_issuer()
    cleaned = PROVIDERS["github"].clean(FIELDS)
    return publishers.add(actor=Actor(user=user), channel=channel, issuer=issuer, fields=cleaned, **values)


def test_publisher_is_added_with_an_event(channel: Channel, olga: User) -> None:
    publisher = add(channel, olga)
    assert publisher.subject == "octo-org/sample"
    assert publisher.created_by == olga
    assert publisher.expires_at is None
    [event] = AuditEvent.objects.filter(channel=channel, action="publisher.add")
    assert event.target == "GitHub Actions: octo-org/sample"
    assert event.detail["fields"]["workflow"] == "release.yml"


def test_stable_ids_come_from_the_provider(channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch) -> None:
    requested = []

    def answer(url: str) -> bytes:
        requested.append(url)
        return b'{"id": 740510, "owner": {"id": 65}}'

    monkeypatch.setattr(fetching, "get", answer)
    assert add(channel, olga).pins == {"repository_id": "740510", "repository_owner_id": "65"}
    assert requested == ["https://api.github.com/repos/octo-org/sample"]


@pytest.mark.parametrize("answer", [b"nonsense", b"[]", b"{}", b'{"id": "740510"}', b'{"id": null, "owner": 1}'])
def test_odd_answer_of_the_provider_sets_no_pin(
    channel: Channel, olga: User, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setattr(fetching, "get", lambda url: answer)
    assert add(channel, olga).pins == {}


def test_adding_the_same_publisher_twice_is_refused(channel: Channel, olga: User) -> None:
    add(channel, olga)
    with pytest.raises(HubError, match=r"This publisher is there already; remove it first to change it."):
        add(channel, olga)
    add(make_channel("other", owner=olga), olga)


def test_adding_by_a_contributor_is_refused(channel: Channel, max_: User) -> None:
    make_member(channel, max_, Role.CONTRIBUTOR)
    with pytest.raises(HubError) as refusal:
        add(channel, max_)
    assert refusal.value.status == 403


def test_adding_without_any_permission_is_refused(channel: Channel, olga: User) -> None:
    with pytest.raises(HubError, match=r"The publisher may neither upload nor read; choose at least one of the two."):
        add(channel, olga, may_upload=False)


def test_publisher_with_too_many_package_names_is_refused(channel: Channel, olga: User) -> None:
    with pytest.raises(
        HubError,
        match=r"A publisher takes at most 50 package names of at most 64 characters.",
    ):
        add(channel, olga, package_globs=[f"name-{number}" for number in range(51)])


def test_publisher_of_a_new_package_is_pending(channel: Channel, olga: User) -> None:
    publisher = add(channel, olga, package_globs=["brand-new"])
    assert publisher.expires_at is not None
    assert timedelta(days=29) < publisher.expires_at - timezone.now() <= timedelta(days=30)


def test_publisher_of_a_pattern_is_not_pending(channel: Channel, olga: User) -> None:
    assert add(channel, olga, package_globs=["brand-*"]).expires_at is None


def test_pending_publisher_of_a_taken_name(channel: Channel, olga: User) -> None:
    fields = PROVIDERS["github"].clean(FIELDS)
    with pytest.raises(HubError, match=r"There is a channel 'demo' already; choose another name."):
        publishers.add_pending(user=olga, channel_name="demo", issuer=make_issuer(), fields=fields)


def test_removing_leaves_an_event(channel: Channel, olga: User) -> None:
    publisher = add(channel, olga)
    publishers.remove(actor=Actor(user=olga), publisher=publisher)
    assert not TrustedPublisher.objects.exists()
    assert AuditEvent.objects.filter(channel=channel, action="publisher.remove").count() == 1


def test_removing_by_a_viewer_is_refused(channel: Channel, max_: User) -> None:
    make_member(channel, max_, Role.VIEWER)
    with pytest.raises(HubError):
        publishers.remove(actor=Actor(user=max_), publisher=make_publisher(channel))
    assert TrustedPublisher.objects.count() == 1


def upload(channel: Channel, folder: Path, *publishers: TrustedPublisher, **options: Any) -> Any:
    key, _ = make_short_lived_token(*publishers)
    return publish(actor=Actor(key=key), channel=channel, received=received(make_conda(folder)), **options)


def test_artifact_stores_its_build_provenance(channel: Channel, tmp_path: Path) -> None:
    artifact = upload(channel, tmp_path, make_publisher(channel)).artifact
    assert artifact.uploaded_by is None
    assert artifact.provenance["provider"] == "GitHub Actions"
    assert artifact.provenance["repository"] == "octo-org/sample"
    assert artifact.provenance["commit_url"].startswith("https://github.com/octo-org/sample/commit/3f7868")
    assert artifact.provenance["run_url"] == "https://github.com/octo-org/sample/actions/runs/9001/attempts/1"
    event = AuditEvent.objects.get(action="artifact.publish")
    assert event.detail["by"] == "GitHub Actions: octo-org/sample"


def test_channel_of_trusted_publishers_alone_takes_them(channel: Channel, tmp_path: Path) -> None:
    channel.only_trusted_publishers = True
    channel.save()
    assert upload(channel, tmp_path, make_publisher(channel)).is_new


@pytest.mark.parametrize(
    ("globs", "is_let_through"), [([], True), (["demo"], True), (["d*"], True), (["other"], False)]
)
def test_publisher_uploads_only_its_package_names(
    channel: Channel, tmp_path: Path, globs: list[str], is_let_through: bool
) -> None:
    publisher = make_publisher(channel, package_globs=globs)
    if is_let_through:
        assert upload(channel, tmp_path, publisher).is_new
        return
    with pytest.raises(HubError) as refusal:
        upload(channel, tmp_path, publisher)
    assert refusal.value.code == "name_not_allowed"
    assert refusal.value.detail == (
        "GitHub Actions: octo-org/sample may not upload the package 'demo' to 'demo': "
        "it is limited to other package names."
    )


def test_upload_with_force_by_a_publisher_is_refused(channel: Channel, tmp_path: Path) -> None:
    channel.allow_overwrite = True
    channel.save()
    with pytest.raises(HubError, match=r"A trusted publisher may not overwrite files; an API key of a member may."):
        upload(channel, tmp_path, make_publisher(channel), force=True)


def test_publisher_removed_during_the_upload(channel: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = make_publisher(channel)
    monkeypatch.setattr("publishing.uploads.upload.put", lambda *_: publisher.delete())
    with pytest.raises(HubError) as refusal:
        upload(channel, tmp_path, publisher)
    assert refusal.value.status == 403
    assert not channel.artifacts.exists()
