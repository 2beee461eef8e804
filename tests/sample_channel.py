"""A channel for tests of verification: two uploads and an artifact with two attestations, all indexed."""

import hashlib
from datetime import timedelta
from pathlib import Path

from django.utils import timezone

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, User
from hub.storage import store
from publishing.attestations import sidecars
from publishing.index import builds
from publishing.models import Attestation
from publishing.uploads import upload
from publishing.verification import verification
from tests.archives import make_conda
from tests.builders import make_artifact, received

LIB = "demo/noarch/lib-1.0-0.conda"
MINE = "demo/noarch/mine-1.0-0.conda"
SIGS = f"{MINE}.sigs"
REPODATA = "demo/noarch/repodata.json"
SHARDS = "demo/noarch/repodata_shards.msgpack.zst"


def fill_channel(channel: Channel, user: User, folder: Path) -> None:
    for name in ("lib", "app"):
        publish(channel, user, make_conda(folder, name=name))
    mine = make_artifact(channel, "mine", size_bytes=4, sha256=hashlib.sha256(b"mine").hexdigest())
    store().put(MINE, b"mine")
    for position, bundle in enumerate(('{"a":1}', '{"b":2}')):
        mine.attestations.create(position=position, bundle=bundle)
    Attestation.objects.update(created_at=timezone.now() - timedelta(hours=1))
    sidecars.rewrite(mine)
    build_index(channel)


def publish(channel: Channel, user: User, path: Path) -> Artifact:
    return upload.publish(actor=Actor(user=user), channel=channel, received=received(path)).artifact


def put_unrecorded_packages(folder: Path, *names: str) -> None:
    """Put packages into the store that have no row in the database, as somebody without the hub does."""
    for name in names:
        store().put(f"demo/noarch/{name}-1.0-0.conda", make_conda(folder, name=name))


def other_lib(folder: Path) -> Path:
    """Make lib-1.0-0.conda with other bytes."""
    (folder / "other").mkdir(exist_ok=True)
    return make_conda(folder / "other", name="lib", files={"share/other": b"other\n"})


def known() -> set[str]:
    """Return the names of the packages that have artifacts."""
    return set(Artifact.objects.values_list("package__name", flat=True))


def lib() -> Artifact:
    return Artifact.objects.get(file_name="lib-1.0-0.conda")


def build_index(channel: Channel) -> None:
    builds.open_channel(channel)
    builds.build_channel(channel)


def found(channel: Channel, *, is_hashed: bool = False) -> list[tuple[str, str]]:
    differences = verification.verify(channel, is_hashed=is_hashed).differences
    return [(difference.kind.value, difference.key) for difference in differences]


def read(key: str) -> bytes:
    return b"".join(store().open(key))
