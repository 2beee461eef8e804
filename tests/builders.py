"""Plain builders with keyword defaults."""

import hashlib
import secrets
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

from allauth.account.models import EmailAddress
from allauth.idp.oidc.adapter import get_adapter
from allauth.idp.oidc.models import Client as Application
from allauth.idp.oidc.models import Token
from django.db import transaction
from django.utils import timezone
from PIL import Image

from channels_app.access.permissions import Actor, Permission
from channels_app.authentication import api_keys
from channels_app.models import (
    ApiKey,
    Artifact,
    Channel,
    Label,
    Member,
    Package,
    RetentionRule,
    Role,
    Team,
    TeamMember,
    User,
    Webhook,
)
from channels_app.packages import packages
from hub.http.request_body import ReceivedFile
from publishing.id_tokens.providers import PROVIDERS
from publishing.index import marks
from publishing.models import (
    ChannelNotice,
    Import,
    ImportState,
    Issuer,
    Patch,
    Promotion,
    PromotionState,
    SubdirIndex,
    TrustedPublisher,
)
from tests.id_tokens.builders import KEY_ID, github_claims, jwk

# A string in the form of a key that is no key; constant, because the names of tests contain it.
NO_KEY = "chub-Example0Example1Example2XYUvTBo2"


def make_user(username: str = "olga", **fields: Any) -> User:
    return User.objects.create_user(username, **fields)


def make_channel(name: str = "demo", *, owner: User | None = None, is_private: bool = True, **fields: Any) -> Channel:
    channel = Channel.objects.create(name=name, is_private=is_private, **fields)
    if owner:
        make_member(channel, owner, Role.OWNER)
    return channel


def make_member(channel: Channel, user: User, role: str = Role.VIEWER) -> Member:
    return Member.objects.create(channel=channel, user=user, role=role)


def make_team(name: str = "mappers", *people: User, manager: User | None = None, **fields: Any) -> Team:
    team = Team.objects.create(name=name, **fields)
    TeamMember.objects.bulk_create(TeamMember(team=team, user=user) for user in people)
    if manager:
        TeamMember.objects.create(team=team, user=manager, is_manager=True)
    return team


def make_team_member(channel: Channel, team: Team, role: str = Role.VIEWER) -> Member:
    return Member.objects.create(channel=channel, team=team, role=role)


def make_address(user: User, email: str, *, verified: bool = True) -> EmailAddress:
    return EmailAddress.objects.create(user=user, email=email, verified=verified, primary=True)


def make_key(
    owner: User,
    *,
    scopes: tuple[str, ...] = (Permission.READ, Permission.UPLOAD),
    channels: list[Channel] | None = None,
    **fields: Any,
) -> str:
    """Create a key of `owner` and return its secret."""
    return api_keys.create_user_key(
        owner=owner, name="test", scopes=scopes, channels=channels, expires_at=None, **fields
    )[1]


def make_robot(
    channel: Channel, owner: User, *, scopes: tuple[str, ...] = (Permission.READ, Permission.UPLOAD), **fields: Any
) -> str:
    """Create a key of the channel and return its secret."""
    values = {"name": "nightly", "expires_at": None, **fields}
    return api_keys.create_channel_key(actor=Actor(user=owner), channel=channel, scopes=scopes, **values)[1]


def make_token(user: User, *scopes: str) -> str:
    """Return the access token of an application that the user has authorized."""
    application, _ = Application.objects.get_or_create(id="tool", defaults={"name": "A tool"})
    secret = f"token-{secrets.token_hex(8)}"
    token = Token(client=application, user=user, type=Token.Type.ACCESS_TOKEN, hash=get_adapter().hash_token(secret))
    token.expires_at = timezone.now() + timedelta(hours=1)
    token.set_scopes(list(scopes))
    token.save()
    return secret


def make_issuer(provider: str = "github") -> Issuer:
    """Create the provider's default issuer with fresh keys of tests.id_tokens.builders."""
    issuer = Issuer.objects.get(url=PROVIDERS[provider].issuer)
    issuer.key_set, issuer.fetched_at = {KEY_ID: jwk()}, timezone.now()
    issuer.save()
    return issuer


def make_publisher(
    channel: Channel | None = None, issuer: Issuer | None = None, *, fields: dict[str, str] | None = None, **values: Any
) -> TrustedPublisher:
    """Create a publisher that matches tests.id_tokens.builders.github_claims(), unless `issuer` and `fields` differ."""
    issuer = issuer or make_issuer()
    provider = PROVIDERS[issuer.provider]
    cleaned = provider.clean(fields or {"repository": "octo-org/sample", "workflow": "release.yml"})
    identity = {"identity": secrets.token_hex(32), "subject": provider.subject(cleaned)}
    return TrustedPublisher.objects.create(channel=channel, issuer=issuer, fields=cleaned, **identity, **values)


def make_short_lived_token(*publishers: TrustedPublisher, claims: dict[str, Any] | None = None) -> tuple[ApiKey, str]:
    """Create a short-lived token of these publishers, with claims of GitHub, and return its secret."""
    return api_keys.create_short_lived_token(
        publishers=publishers,
        name="GitHub Actions: octo-org/sample",
        claims=claims or github_claims(),
        expires_at=timezone.now() + timedelta(minutes=15),
    )


def make_webhook(channel: Channel, **fields: Any) -> Webhook:
    """Create a webhook whose secret no test needs."""
    values = {"url": "https://ci.example.org/hook", "events": ["artifact.yanked"], "encrypted_secret": ""}
    return Webhook.objects.create(channel=channel, **values | fields)


def make_notice(channel: Channel | None, **fields: Any) -> ChannelNotice:
    """Create a notice of the channel, or of the hub, for nine days."""
    values = {"level": "info", "message": "Read this.", "expires_at": timezone.now() + timedelta(days=9)}
    return ChannelNotice.objects.create(channel=channel, **values | fields)


def make_label(channel: Channel, name: str, **fields: Any) -> Label:
    """Return the label of the channel, which is created if it does not exist."""
    return Label.objects.get_or_create(channel=channel, name=name, defaults=fields)[0]


def make_promotion(source: Channel, target: Channel, **fields: Any) -> Promotion:
    """Create a promotion that is done, without files."""
    return Promotion.objects.create(source=source, target=target, **{"state": PromotionState.DONE, **fields})


def make_import(channel: Channel, **fields: Any) -> Import:
    """Create an import that was stopped."""
    values = {"source": "https://source.example.org/channel", "state": ImportState.STOPPED}
    return Import.objects.create(channel=channel, **{**values, **fields})


def make_patch(channel: Channel, **fields: Any) -> Patch:
    """Create an active patch that states a licence."""
    position = channel.patches.count() + 1
    values = {"position": position, "title": "Its licence is MIT", "changes": {"license": "MIT"}}
    return Patch.objects.create(channel=channel, **values | fields)


def make_retention_rule(channel: Channel, **fields: Any) -> RetentionRule:
    """Create a rule for files that are a month old."""
    return RetentionRule.objects.create(channel=channel, **{"title": "old", "older_than_days": 30, **fields})


def make_package(channel: Channel, name: str, summary: str = "", **fields: Any) -> Package:
    """Create a package as lists show it, without artifacts."""
    return Package.objects.create(channel=channel, name=name, summary=summary, **{"latest_version": "1.0", **fields})


def make_artifact(
    channel: Channel,
    name: str = "demo",
    version: str = "1.0",
    build: str = "0",
    *,
    subdir: str = "noarch",
    extension: str = ".conda",
    revision: int = 1,
    index_json: dict[str, Any] | None = None,
    **fields: Any,
) -> Artifact:
    """Create a published artifact without bytes in the store. Its index is stale."""
    package, _ = Package.objects.get_or_create(channel=channel, name=name)
    file_name = f"{name}-{version}-{build}{extension}"
    facts = {"name": name, "version": version, "build": build, "build_number": 0, "subdir": subdir, "depends": []}
    artifact = Artifact.objects.create(
        channel=channel,
        package=package,
        subdir=subdir,
        file_name=file_name,
        version=version,
        build=build,
        build_number=0,
        revision=revision,
        **{
            "size_bytes": 1000,
            "sha256": hashlib.sha256(file_name.encode()).hexdigest(),
            "md5": hashlib.md5(file_name.encode()).hexdigest(),
            "index_json": facts | (index_json or {}),
            "indexed_timestamp": 1_790_000_000_000,
            **fields,
        },
    )
    with transaction.atomic():
        packages.measure(Package.objects.filter(pk=package.pk))
    marks.mark_stale(channel, subdir, [name])
    return artifact


def make_files_old() -> None:
    """Make channels and their files an hour old: responses within the second of a build have no Last-Modified."""
    an_hour_ago = timezone.now() - timedelta(hours=1)
    Channel.objects.update(created_at=an_hour_ago)
    Artifact.objects.update(indexed_timestamp=int(an_hour_ago.timestamp() * 1000))
    SubdirIndex.objects.filter(built_at__isnull=False).update(built_at=an_hour_ago)


def received(path: Path, file_name: str = "", *, claimed_sha256: str | None = None) -> ReceivedFile:
    """Return the received file of an upload of `path`."""
    content = path.read_bytes()
    return ReceivedFile(
        path=path,
        file_name=file_name or path.name,
        claimed_sha256=claimed_sha256,
        sha256=hashlib.sha256(content).hexdigest(),
        md5=hashlib.md5(content).hexdigest(),
        size_bytes=len(content),
    )


def picture(kind: str = "PNG", size: tuple[int, int] = (300, 200)) -> bytes:
    """Return an image of one colour."""
    content = BytesIO()
    Image.new("RGB", size, "teal").save(content, kind)
    return content.getvalue()
