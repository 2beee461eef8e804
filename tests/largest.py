"""The largest package that any version of the hub accepted: each document and each list at its maximum."""

from typing import Any

import orjson

from channels_app.models import Artifact, Channel
from channels_app.packages import about
from publishing.archive import texts
from publishing.archive.limits import Limits
from publishing.archive.tree import FILES_MAX_CHARACTERS
from tests.builders import make_artifact

LIMITS = Limits()
# Characters that take the most bytes when escaped or shown as numbers.
DEAR = '"<&\U000e0041'


def text(characters: int) -> str:
    return (DEAR * (characters // len(DEAR) + 1))[:characters]


def about_json() -> dict[str, Any]:
    """Return an about.json of 4 MiB: texts, lists and objects, in all keys that are shown and in others."""
    shown = {key: text(100_000) for key in about.KEYS}
    lists = {
        "keywords": [text(100)] * 5000,
        "home": [f"https://example.org/{number}?{'x' * 400}" for number in range(2000)],
    }
    return (
        shown | lists | {"extra": [[] for _ in range(200_000)], "more": {str(number): "" for number in range(50_000)}}
    )


def index_json(**fields: Any) -> dict[str, Any]:
    """Return an index.json of 1 MiB, as earlier versions accepted, with specs and unknown keys."""
    specs = [f"pack{number} {'>=1,' * 60}<2" for number in range(1600)]
    keys = {f"key{number}{text(40)}": text(200) for number in range(400)}
    lists = {"nested": [[] for _ in range(100_000)], "license": text(20_000)}
    return {"depends": specs[:800], "constrains": specs[800:]} | keys | lists | fields


def run_exports() -> dict[str, list[str]]:
    kinds = ("noarch", "strong", "strong_constrains", "weak", "weak_constrains")
    return {kind: [f"pack{number} {text(40)}" for number in range(2000)] for kind in kinds}


def make_largest(channel: Channel, name: str = "huge", *, builds: int = 1) -> list[Artifact]:
    """Create `builds` artifacts of one version as `upload` records them, each with the largest documents."""
    said = about_json()
    values: dict[str, Any] = {
        "about_json": about.stored(said),
        "run_exports": run_exports(),
        "files": [[f"{number}/{text(1000)}", 10**12] for number in range(FILES_MAX_CHARACTERS // 1000)],
        "file_count": 500_000,
        "licences": [
            [f"info/licenses/{number}{text(900)}", text(texts.TEXT_MAX_BYTES // texts.FILES_KEPT)]
            for number in range(texts.FILES_KEPT)
        ],
        "recipe": [["info/recipe/recipe.yaml", text(texts.TEXT_MAX_BYTES)]],
        "warnings": [text(400)] * 120,
        "index_json": index_json(name=name, version="1.0", build="0", build_number=0, subdir="noarch"),
    }
    artifacts = [make_artifact(channel, name, build=str(number), **values) for number in range(builds)]
    about.keep_whole(artifacts[-1], said, is_new=True)
    return artifacts


def size(document: object) -> int:
    return len(orjson.dumps(document))
