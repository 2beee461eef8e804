"""Tests of cached decisions: a revoked right ends with the next request, in every way, with the real triggers."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from allauth.idp.oidc.models import Client as Application
from allauth.idp.oidc.models import Token
from django.db import connection, transaction
from django.db.models import QuerySet
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from channels_app.access import revision
from channels_app.authentication import api_keys, decision_cache
from channels_app.models import AccessRevision, ApiKey, Channel, Member, Role, Team, TeamMember, User
from hub.http.request_metrics import LOG_ACTOR
from publishing.models import Issuer, SubdirIndex, TrustedPublisher
from tests.archives import make_conda
from tests.builders import (
    make_artifact,
    make_channel,
    make_issuer,
    make_key,
    make_member,
    make_publisher,
    make_robot,
    make_short_lived_token,
    make_team,
    make_team_member,
    make_token,
    make_user,
)

pytestmark = pytest.mark.django_db(transaction=True)

FILE = "/demo/noarch/pack-1.0-0.conda"
READ = 304  # so that the test needs no bytes in the store


@pytest.fixture(autouse=True)
def revision_row() -> Iterator[None]:
    """Create the row, which is lost when tables are emptied between tests, and clear the cache."""
    decision_cache.clear()
    AccessRevision.objects.get_or_create(pk=1)
    yield
    decision_cache.clear()


@pytest.fixture
def demo() -> Channel:
    channel = make_channel(owner=make_user("olga"))
    make_artifact(channel, "pack", attestations_sha256="0" * 64)
    SubdirIndex.objects.update(etag="of-the-build")
    return channel


def by_member(demo: Channel) -> str:
    make_member(demo, make_user("max"))
    return make_key(User.objects.get(username="max"), channels=[demo], scopes=("read",))


def by_team(demo: Channel) -> str:
    make_team_member(demo, make_team("mappers", make_user("max")))
    return make_key(User.objects.get(username="max"))


def by_administrator(demo: Channel) -> str:
    return make_key(make_user("max", is_superuser=True))


def by_robot(demo: Channel) -> str:
    return make_robot(demo, User.objects.get(username="olga"), scopes=("read",))


def by_publisher(demo: Channel) -> str:
    return make_short_lived_token(
        make_publisher(demo, Issuer.objects.filter(provider="github").first(), may_read=True)
    )[1]


def by_publisher_of_a_key(demo: Channel) -> str:
    """Return a token of a publisher that was added by Max's key with the scope manage."""
    make_member(demo, make_user("max"), Role.MAINTAINER)
    maker = api_keys.look_up(make_key(User.objects.get(username="max"), scopes=("read", "upload", "manage")))
    issuer = Issuer.objects.filter(provider="github").first()
    return make_short_lived_token(make_publisher(demo, issuer, may_read=True, made_with=maker))[1]


def by_token(demo: Channel) -> str:
    max_ = make_user("max")
    make_member(demo, max_)
    return make_token(max_, "channel:read")


def by_nobody(demo: Channel) -> str:
    Channel.objects.update(is_private=False)
    return ""


def makers() -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(owner__username="max")


# The credential with which a caller reads, and the change that ends it.
ENDS: list[tuple[Callable[[Channel], str], str, Callable[[], object]]] = [
    (by_member, "the membership goes", lambda: Member.objects.filter(user__username="max").delete()),
    (
        by_member,
        "it becomes somebody else's",
        lambda: Member.objects.filter(user__username="max").update(user=make_user("sam")),
    ),
    (by_member, "the member is shut out", lambda: User.objects.filter(username="max").update(is_active=False)),
    (by_member, "the account goes", lambda: User.objects.get(username="max").delete()),
    (by_member, "the key is revoked", lambda: ApiKey.objects.update(revoked_at=timezone.now())),
    (by_member, "the key goes", lambda: ApiKey.objects.all().delete()),
    (by_member, "the key expires sooner", lambda: ApiKey.objects.update(expires_at=timezone.now())),
    (by_member, "the key's scopes change", lambda: ApiKey.objects.update(scopes=["upload"])),
    (by_member, "the key's channels change", lambda: ApiKey.objects.get().channels.clear()),
    (by_member, "the key gets another owner", lambda: ApiKey.objects.update(owner=make_user("sam"))),
    (by_member, "the channel is deleted", lambda: Channel.objects.update(deleted_at=timezone.now())),
    (by_member, "the channel goes", lambda: Channel.objects.all().delete()),
    (by_member, "the channel is renamed", lambda: Channel.objects.update(name="other")),
    (by_team, "the key is for fewer channels", lambda: ApiKey.objects.update(all_channels=False)),
    (by_team, "somebody leaves the team", lambda: TeamMember.objects.all().delete()),
    (by_team, "the team goes", lambda: Team.objects.all().delete()),
    (by_team, "the team is no member", lambda: Member.objects.exclude(team=None).delete()),
    (by_administrator, "no administrator", lambda: User.objects.filter(username="max").update(is_superuser=False)),
    (by_robot, "the robot is of another channel", lambda: ApiKey.objects.update(robot_of=make_channel("other"))),
    (by_publisher, "the publisher may not", lambda: TrustedPublisher.objects.update(may_read=False)),
    (by_publisher_of_a_key, "its key is revoked", lambda: makers().update(revoked_at=timezone.now())),
    (by_publisher_of_a_key, "its key expires sooner", lambda: makers().update(expires_at=timezone.now())),
    (by_publisher_of_a_key, "its key's scopes change", lambda: makers().update(scopes=["manage"])),
    (by_publisher_of_a_key, "its key goes", lambda: makers().delete()),
    (by_publisher_of_a_key, "its key's owner leaves", lambda: Member.objects.filter(user__username="max").delete()),
    (by_publisher, "the publisher goes", lambda: TrustedPublisher.objects.all().delete()),
    (by_publisher, "the key is not the publisher's", lambda: TrustedPublisher.objects.get().keys.clear()),
    (by_publisher, "the issuer is off", lambda: Issuer.objects.update(is_enabled=False)),
    (by_token, "the token goes", lambda: Token.objects.all().delete()),
    (by_token, "the token expires sooner", lambda: Token.objects.update(expires_at=timezone.now())),
    (by_token, "the token's scopes change", lambda: Token.objects.update(scopes="")),
    (by_token, "the application goes", lambda: Application.objects.all().delete()),
    (by_nobody, "the channel becomes private", lambda: Channel.objects.update(is_private=True)),
]


def read(secret: str) -> int:
    headers = {"If-None-Match": "*"} | ({"Authorization": f"Bearer {secret}"} if secret else {})
    return Client().get(FILE, headers=headers).status_code


@pytest.mark.parametrize(("by", "what", "end"), ENDS, ids=[f"{by.__name__}-{what}" for by, what, _ in ENDS])
def test_a_right_that_ends_is_gone_with_the_next_request(
    demo: Channel, by: Callable[[Channel], str], what: str, end: Callable[[], object]
) -> None:
    make_issuer()
    secret = by(demo)
    assert [read(secret), read(secret)] == [READ, READ]
    assert decision_cache._decisions
    end()
    assert read(secret) in (401, 403)


# Changes that end a right of somebody, besides those of ENDS and UPLOAD_ENDS.
FURTHER_ENDS: dict[str, Callable[[], object]] = {
    "packages of revision 3": lambda: Channel.objects.update(allow_revision_3=False),
    "a member's channel": lambda: Member.objects.filter(user__username="max").update(channel=make_channel("other")),
    "a member's team": lambda: Member.objects.exclude(team=None).update(team=make_team("others")),
    "a user's team": lambda: TeamMember.objects.update(team=make_team("others")),
    "a team's user": lambda: TeamMember.objects.update(user=make_user("sam")),
    "a key's digest": lambda: ApiKey.objects.update(digest="0" * 64),
    "a key's channel": lambda: ApiKey.channels.through.objects.update(channel=make_channel("other")),
    "a publisher's channel": lambda: TrustedPublisher.objects.update(channel=make_channel("other")),
    "a publisher's issuer": lambda: TrustedPublisher.objects.update(issuer=Issuer.objects.get(provider="gitlab")),
    "a token's type": lambda: Token.objects.update(type=Token.Type.REFRESH_TOKEN),
    "a token's hash": lambda: Token.objects.update(hash="other"),
    "a token's user": lambda: Token.objects.update(user=make_user("sam")),
    "a token's application": lambda: Token.objects.update(client=Application.objects.create(id="other")),
}


@pytest.mark.parametrize("change", FURTHER_ENDS.values(), ids=FURTHER_ENDS)
def test_change_that_may_end_a_right_raises_the_revision(demo: Channel, change: Callable[[], object]) -> None:
    max_ = make_user("max")
    make_member(demo, max_)
    make_team_member(demo, make_team("mappers", max_))
    make_key(max_, channels=[demo])
    make_publisher(demo, Issuer.objects.get(provider="github"))
    make_token(max_, "channel:read")
    before = revision.current()
    assert before is not None
    change()
    assert (revision.current() or 0) > before


def by_contributor(demo: Channel) -> str:
    make_member(demo, make_user("max"), Role.CONTRIBUTOR)
    return make_key(User.objects.get(username="max"), scopes=("upload",))


def by_ci(demo: Channel) -> str:
    return make_short_lived_token(make_publisher(demo))[1]


# The credential with which a caller uploads, the change that ends or narrows it, and the error of the next upload.
UPLOAD_ENDS: list[tuple[Callable[[Channel], str], str, Callable[[], object], str]] = [
    (by_contributor, "lesser role", lambda: Member.objects.filter(user__username="max").update(role="viewer"), "403"),
    (by_contributor, "revoked", lambda: ApiKey.objects.update(revoked_at=timezone.now()), "401"),
    (by_contributor, "scopes", lambda: ApiKey.objects.update(scopes=["read"]), "403"),
    (by_contributor, "globs", lambda: ApiKey.objects.update(package_globs=["other"]), "limited to other package names"),
    (
        by_contributor,
        "CI alone",
        lambda: Channel.objects.update(only_trusted_publishers=True),
        "Only trusted publishers",
    ),
    (by_contributor, "attested", lambda: Channel.objects.update(require_attestation=True), "attestation"),
    (by_contributor, "size", lambda: Channel.objects.update(max_upload_bytes=1), "413"),
    (by_contributor, "overwriting", lambda: Channel.objects.update(allow_overwrite=False), "does not allow force=true"),
    (by_contributor, "deleted", lambda: Channel.objects.update(deleted_at=timezone.now()), "403"),
    (by_ci, "the publisher may not", lambda: TrustedPublisher.objects.update(may_upload=False), "403"),
    (by_ci, "the publisher's globs", lambda: TrustedPublisher.objects.update(package_globs=["other"]), "403"),
    (by_ci, "the publisher goes", lambda: TrustedPublisher.objects.all().delete(), "403"),
]


def upload(secret: str, path: Path, query: str = "") -> str:
    """Upload the file and return status and sentence."""
    headers = {"Authorization": f"Bearer {secret}", "X-File-Name": path.name}
    content_type = "application/octet-stream"
    response = Client().post(f"/api/v1/upload/demo{query}", path.read_bytes(), content_type, headers=headers)
    return f"{response.status_code} {response.text}"


@pytest.mark.parametrize(
    ("by", "what", "end", "told"), UPLOAD_ENDS, ids=[f"{by.__name__}-{what}" for by, what, *_ in UPLOAD_ENDS]
)
def test_a_right_to_upload_that_ends_is_gone_with_the_next_upload(
    demo: Channel, tmp_path: Path, by: Callable[[Channel], str], what: str, end: Callable[[], object], told: str
) -> None:
    make_issuer()
    Channel.objects.update(allow_overwrite=True)
    secret = by(demo)
    assert upload(secret, make_conda(tmp_path, version="1"))[:3] == "201"
    assert upload(secret, make_conda(tmp_path, version="2"))[:3] == "201"
    end()
    assert told in upload(secret, make_conda(tmp_path, version="3"), "?force=true" if what == "overwriting" else "")


def test_a_right_to_upload_that_ends_meanwhile_stops_the_upload(
    demo: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = by_contributor(demo)
    assert upload(secret, make_conda(tmp_path, version="1"))[:3] == "201"
    monkeypatch.setattr("publishing.uploads.upload.put", lambda *_: Member.objects.exclude(role=Role.OWNER).delete())
    assert upload(secret, make_conda(tmp_path, version="2"))[:3] == "403"
    assert not demo.artifacts.filter(version="2").exists()


def test_a_right_that_is_still_there_is_asked_again_where_another_ended(
    demo: Channel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = by_contributor(demo)
    make_member(demo, make_user("sam"))
    monkeypatch.setattr(
        "publishing.uploads.upload.put", lambda *_: Member.objects.filter(user__username="sam").delete()
    )
    assert upload(secret, make_conda(tmp_path))[:3] == "201"


def test_a_key_that_reads_is_not_remembered_as_one_that_uploads(demo: Channel, tmp_path: Path) -> None:
    secret = by_member(demo)
    assert [read(secret), read(secret)] == [READ, READ]
    assert upload(secret, make_conda(tmp_path))[:3] == "403"
    uploads = by_robot_of_uploads(demo)
    assert upload(uploads, make_conda(tmp_path))[:3] == "201"
    assert read(uploads) == 403


def by_robot_of_uploads(demo: Channel) -> str:
    return make_robot(demo, User.objects.get(username="olga"), scopes=("upload",))


def test_a_hot_upload_asks_little(
    demo: Channel, tmp_path: Path, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    secret = by_contributor(demo)
    assert upload(secret, make_conda(tmp_path, version="1"))[:3] == "201"
    path = make_conda(tmp_path, version="2")
    with django_assert_max_num_queries(22):
        assert upload(secret, path)[:3] == "201"


def test_change_that_ends_no_right_keeps_the_revision(
    demo: Channel, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    secret = by_member(demo)
    read(secret)
    before = revision.current()
    ApiKey.objects.update(last_used_at=timezone.now(), name="other")
    User.objects.update(last_login=timezone.now())
    User.objects.get(username="max").save()
    Channel.objects.update(description="Other.", logo=b"")
    make_member(demo, make_user("sam"), Role.OWNER)
    make_publisher(demo, make_issuer())
    TrustedPublisher.objects.update(last_used_at=timezone.now())
    assert revision.current() == before
    with django_assert_num_queries(1):
        assert read(secret) == READ


@pytest.mark.parametrize("path", ["nowhere", "noarch/nothing-1-0.conda", "plan9-64/repodata.json"])
def test_missing_file_after_a_revocation_is_refused_as_hidden(demo: Channel, path: str) -> None:
    secret = by_member(demo)
    headers = {"Authorization": f"Bearer {secret}"}
    assert read(secret) == READ
    assert Client().get(f"/demo/{path}", headers=headers).status_code == 404
    Member.objects.filter(user__username="max").delete()
    assert Client().get(f"/demo/{path}", headers=headers).status_code == 403


def test_a_hot_read_costs_one_query(demo: Channel, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    secret = by_member(demo)
    shard = f"shards/{'0' * 64}.msgpack.zst"
    for name in ("repodata.json.zst", "pack-1.0-0.conda", "pack-1.0-0.conda.sigs", shard):
        headers = {"Authorization": f"Bearer {secret}", "If-None-Match": "*"}
        assert Client().get(f"/demo/noarch/{name}", headers=headers).status_code == 304
        with django_assert_num_queries(1):
            assert Client().get(f"/demo/noarch/{name}", headers=headers).status_code == 304


def test_transaction_rolled_back_keeps_the_revision(demo: Channel) -> None:
    secret = by_member(demo)
    read(secret)
    before = revision.current()
    with transaction.atomic():
        Member.objects.all().delete()
        assert revision.current() is None
        transaction.set_rollback(True)
    assert (revision.current(), read(secret)) == (before, READ)


def test_a_right_that_a_transaction_has_not_given_yet_is_not_remembered(demo: Channel) -> None:
    secret = make_key(make_user("max"))
    with transaction.atomic():
        make_member(demo, User.objects.get(username="max"))
        assert read(secret) == READ
        transaction.set_rollback(True)
    assert read(secret) == 403


def test_missing_revision_row_disables_the_cache(demo: Channel) -> None:
    AccessRevision.objects.all().delete()
    secret = by_member(demo)
    assert read(secret) == READ
    assert decision_cache._decisions == {}


def test_cached_decision_ends_with_the_credential(demo: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_cache, "CACHED_S", 7200)
    end = timezone.now() + timedelta(hours=1)
    _, secret = api_keys.create_user_key(
        owner=User.objects.get(username="olga"), name="short", scopes=["read"], channels=None, expires_at=end
    )
    assert read(secret) == READ
    [decision] = decision_cache._decisions.values()
    assert decision.expires_at == end.timestamp()
    monkeypatch.setattr("channels_app.authentication.decision_cache.time.time", lambda: decision.expires_at + 1)
    monkeypatch.setattr(timezone, "now", lambda: end + timedelta(seconds=1))
    assert read(secret) == 401


def test_access_log_of_a_cached_decision_names_the_actor(demo: Channel) -> None:
    headers = {"If-None-Match": "*", "Authorization": f"Bearer {by_member(demo)}"}
    named = [Client().get(FILE, headers=headers).wsgi_request.META[LOG_ACTOR] for _ in range(2)]
    assert named == [f"max with the key {ApiKey.objects.get().pk}"] * 2


def test_cached_right_to_read_is_no_right_to_upload(demo: Channel, tmp_path: Path) -> None:
    make_member(demo, make_user("max"), Role.CONTRIBUTOR)
    secret = make_key(User.objects.get(username="max"), scopes=("read",))
    assert read(secret) == READ
    assert upload(secret, make_conda(tmp_path))[:3] == "403"


def test_decision_of_a_session_is_not_cached_for_requests_without_credential(demo: Channel) -> None:
    browser = Client()
    browser.force_login(User.objects.get(username="olga"))
    assert browser.get(FILE, headers={"If-None-Match": "*"}).status_code == READ
    assert decision_cache._decisions == {}
    assert read("") == 401


def test_refusals_are_not_cached(demo: Channel) -> None:
    secret = make_key(make_user("max"))
    assert read(secret) == 403
    make_member(demo, User.objects.get(username="max"))
    assert read(secret) == READ


def test_empty_key_differs_from_no_credential_in_the_cache(demo: Channel) -> None:
    Channel.objects.update(is_private=False)
    assert read("") == READ
    assert Client().get(FILE, headers={"Authorization": "Bearer "}).status_code == 401


def test_cache_of_decisions_is_bounded(demo: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_cache, "DECISIONS_MAX", 3)
    Channel.objects.update(is_private=False)
    for secret in [make_key(User.objects.get(username="olga")) for _ in range(5)]:
        assert read(secret) == READ
    assert len(decision_cache._decisions) <= 3


def test_uses_of_a_key_are_noted(demo: Channel) -> None:
    secret = by_member(demo)
    read(secret)
    read(secret)
    assert ApiKey.objects.get().last_used_at is not None


def test_every_table_has_its_triggers() -> None:
    expected = {revision.trigger(table, event) for table in revision.REVOKING_COLUMNS for event in ("UPDATE", "DELETE")}
    sql = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'access_revision_%'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'access_revision_%' AND NOT tgisinternal",
    }
    with connection.cursor() as cursor:
        cursor.execute(sql[connection.vendor])
        found = {name for (name,) in cursor.fetchall()}
    assert found == expected, "a migration remade a table; end it with RunPython(revision.install, revision.remove)"


def test_names_of_triggers_are_no_longer_than_postgresql_keeps() -> None:
    assert max(len(revision.trigger(table, "DELETE")) for table in revision.REVOKING_COLUMNS) <= 63
