"""Random patches: the files of an index agree with each other and with py-rattler, and undo restores their bytes."""

import shutil
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from rattler import Channel as ChannelAddress
from rattler import SparseRepoData
from rattler.repo_data import PackageFormatSelection

from channels_app.access.permissions import Actor
from channels_app.models import Artifact, Channel, User
from hub.errors import HubError
from publishing.index import repodata
from publishing.models import Patch
from publishing.patches import imports, patches
from publishing.patches.rules import NewRule
from publishing.verification import stored_indexes
from tests.builders import make_artifact
from tests.patches import indexes
from tests.patches.packages import encoded, instructions

pytestmark = pytest.mark.django_db

SPECS = st.sampled_from(
    ["zlib", "numpy >=1", "numpy >=1,<2", "python 3.8.*", "six 1.16 py_0", "libgcc-ng[version='>=7']"]
)
TEXTS = st.sampled_from(["MIT", "BSD-3-Clause", "\u00e9\u2028", ""])
NAMES = ("lib", "lib-b", "app")
VERSIONS = ("1.0", "1.1", "2.0")
ENDS = (".conda", ".tar.bz2")

specs = st.lists(SPECS, max_size=3)
edits = st.fixed_dictionaries(
    {}, optional={"add": specs, "remove": specs, "replace": st.dictionaries(SPECS, SPECS, max_size=2)}
).filter(bool)
texts = TEXTS | st.none()
changes = st.fixed_dictionaries(
    {},
    optional={
        "depends": specs | edits,
        "constrains": specs | edits,
        "license": texts,
        "license_family": texts,
        "track_features": texts,
        "features": texts,
        "run_exports": st.dictionaries(st.sampled_from(["weak", "strong"]), specs, max_size=2),
        "removed": st.just(True),
        "revoked": st.just(True),
    },
).filter(bool)
rules = st.fixed_dictionaries(
    {"title": st.just("t"), "changes": changes},
    optional={
        "names": st.lists(st.sampled_from([*NAMES, "lib*", "*"]), max_size=2),
        "version": st.sampled_from(["<2", "1.*", "2.0"]),
        "build": st.sampled_from(["py*", "0"]),
    },
)
file_names = st.builds("{}-{}-{}{}".format, *map(st.sampled_from, (NAMES, VERSIONS, ("0", "py_1"), ENDS)))
documents = st.builds(
    lambda packages, revoke, remove: instructions(2, packages=packages, revoke=revoke, remove=remove),
    st.dictionaries(
        file_names, changes.map(lambda each: {key: each[key] for key in each if isinstance(each[key], list | str)})
    ),
    st.lists(file_names, max_size=2),
    st.lists(file_names, max_size=2),
)
artifacts = st.lists(
    st.tuples(
        *map(st.sampled_from, (NAMES, VERSIONS, ("0", "py_1"), ENDS, (1, 1, 3), ("", "", "yanked"))),
        st.fixed_dictionaries({"depends": specs}, optional={"license": TEXTS, "features": st.just("x")}),
    ),
    unique_by=lambda each: each[:4],
    min_size=1,
    max_size=8,
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("add"), rules),
        st.tuples(st.just("import"), documents),
        st.tuples(st.just("undo"), st.integers(0, 3)),
        st.tuples(st.just("apply"), st.integers(0, 3)),
    ),
    min_size=1,
    max_size=6,
)


# Without shrinking, which would build thousands of indexes.
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
@given(artifacts, steps)
def test_files_agree_after_each_step_and_undo_gives_the_bytes_of_before(
    channel: Channel, olga: User, store_folder: Path, made: list[Any], taken: list[tuple[str, Any]]
) -> None:
    shutil.rmtree(store_folder / "demo", ignore_errors=True)
    with transaction.atomic():
        for name, version, build, extension, revision, removal, index in made:
            place = {"extension": extension, "revision": revision, "removal": removal}
            make_artifact(channel, name, version, build, index_json=index, run_exports={"weak": [name]}, **place)
        indexes.built(channel)
        before = files()
        for kind, value in taken:
            take(channel, olga, kind, value)
            indexes.built(channel)
            check_agreement(channel)
        for patch in reversed(Patch.active(channel)):
            undo_all(patch, olga)
        indexes.built(channel)
        assert files() == before
        transaction.set_rollback(True)


def take(channel: Channel, user: User, kind: str, value: Any) -> None:
    """Take a step. Those that the state forbids have no effect."""
    actor = Actor(user=user)
    try:
        match kind:
            case "add":
                patches.add(actor=actor, channel=channel, rule=NewRule(**value))
            case "import":
                values: dict[str, Any] = {"source": "p.json", "subdir": "noarch"}
                imports.import_file(actor=actor, channel=channel, file=BytesIO(encoded(value)), **values)
            case "undo" | "apply":
                act: Callable[..., Any] = patches.undo if kind == "undo" else patches.apply_again
                for patch in channel.patches.order_by("pk")[value : value + 1]:
                    act(actor=actor, patch=patch)
    except HubError as error:
        assert error.code in ("patch_ended", "patch_active", "bad_patch")  # noqa: PT017


def undo_all(patch: Patch, user: User) -> None:
    """Undo the patch and those that it replaces."""
    while patch is not None:
        patches.undo(actor=Actor(user=user), patch=patch)
        patch = Patch.active(patch.channel).filter(position=patch.position).first()  # type: ignore[assignment]


def files() -> dict[str, Any]:
    """Return the bytes of the files, and the shards by name."""
    names = ("repodata.json", "repodata.json.zst", "run_exports.json", "current_repodata.json")
    shards = {
        name: indexes.content(f"noarch/shards/{sha256.hex()}.msgpack.zst") for name, sha256 in shard_names().items()
    }
    exists = indexes.exists(f"noarch/{repodata.FROM_PACKAGES}")
    return {name: indexes.content(f"noarch/{name}") for name in names} | shards | {"unpatched": exists}


def shard_names() -> dict[str, bytes]:
    found: dict[str, bytes] = indexes.packed(f"noarch/{repodata.SHARD_INDEX}")["shards"]
    return found


def check_agreement(channel: Channel) -> None:
    document = indexes.document("noarch/repodata.json")
    records = indexes.all_records(document)
    assert records == indexes.shard_records()
    listed = set(Artifact.objects.filter(channel=channel, removal="").values_list("file_name", flat=True))
    removed = set(Artifact.objects.filter(channel=channel).values_list("file_name", flat=True)) - listed
    assert set(records) | set(document["removed"]) == listed | removed
    assert not set(records) & set(document["removed"])
    if indexes.exists(f"noarch/{repodata.FROM_PACKAGES}"):
        unpatched = indexes.document(f"noarch/{repodata.FROM_PACKAGES}")
        assert set(indexes.all_records(unpatched)) == listed
        assert set(unpatched["removed"]) == removed
    else:
        assert set(records) == listed
    exports = indexes.all_records(indexes.document("noarch/run_exports.json"))
    assert set(exports) == listed
    shard_exports = indexes.shard_run_exports()
    assert shard_exports == {name: exports[name]["run_exports"] for name in shard_exports}
    assert read_by_rattler() == {name: shown(record) for name, record in records.items()}
    assert list(stored_indexes.check(channel)) == []


def read_by_rattler() -> dict[str, tuple[Any, ...]]:
    """Return file name → the record in repodata.json as py-rattler reads it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "repodata.json")
        path.write_bytes(indexes.content("noarch/repodata.json"))
        sparse = SparseRepoData(ChannelAddress("demo"), "noarch", path)
        found = sparse.load_all_records(PackageFormatSelection.BOTH)
        sparse.close()
    return {record.file_name: (record.depends, record.constrains, record.license) for record in found}


def shown(record: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(record.get(key) for key in ("depends", "constrains", "license"))
