"""Plain builders with keyword defaults."""

import hashlib
from pathlib import Path
from typing import Any

from channels_app import keys
from channels_app.access import Permission
from channels_app.models import Artifact, Channel, Member, Package, Role, User
from publishing import index
from publishing.body import ReceivedFile


def make_user(username: str = "olga", **fields: Any) -> User:
    return User.objects.create_user(username, **fields)


def make_channel(name: str = "demo", *, owner: User | None = None, is_private: bool = True, **fields: Any) -> Channel:
    channel = Channel.objects.create(name=name, is_private=is_private, **fields)
    if owner:
        make_member(channel, owner, Role.OWNER)
    return channel


def make_member(channel: Channel, user: User, role: str = Role.VIEWER) -> Member:
    return Member.objects.create(channel=channel, user=user, role=role)


def make_key(
    owner: User,
    *,
    scopes: tuple[str, ...] = (Permission.READ, Permission.UPLOAD),
    channels: list[Channel] | None = None,
    **fields: Any,
) -> str:
    """A new key's secret."""
    return keys.mint(owner=owner, name="test", scopes=scopes, channels=channels, expires_at=None, **fields)[1]


def make_package(channel: Channel, name: str, summary: str = "", **fields: Any) -> Package:
    """What lists say of a package that has no artifact here."""
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
    """A published artifact without bytes in the store; its index is wanted but not built."""
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
    index.want(channel, subdir, [name])
    return artifact


def received(path: Path, file_name: str = "", *, claimed_sha256: str | None = None) -> ReceivedFile:
    """What an upload of the file at `path` arrives as."""
    content = path.read_bytes()
    return ReceivedFile(
        path=path,
        file_name=file_name or path.name,
        claimed_sha256=claimed_sha256,
        sha256=hashlib.sha256(content).hexdigest(),
        md5=hashlib.md5(content).hexdigest(),
        size_bytes=len(content),
    )
