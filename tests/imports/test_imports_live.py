"""An import from a label of a running hub into one of another hub, which is killed half-way and started again."""

import json
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.archives import make_conda
from tests.live import LiveHub, live_hub

COUNT = 400
END_S = 120


def call(hub: LiveHub, key: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body is not None else None
    with urlopen(Request(f"{hub.url}/api/v1/channels/copy/imports{path}", data, headers)) as answer:
        return json.load(answer)


def until(hub: LiveHub, key: str, path: str, **least: Any) -> dict[str, Any]:
    """Return the import as soon as its state, or its number of files, is reached."""
    deadline = time.monotonic() + END_S
    while time.monotonic() < deadline:
        job: dict[str, Any] = call(hub, key, path)
        if all(job[name] == value if isinstance(value, str) else job[name] >= value for name, value in least.items()):
            return job
        time.sleep(0.05)
    raise AssertionError(job)


def test_killed_import_from_a_running_hub_is_continued_and_verified(tmp_path: Path) -> None:
    (tmp_path / "made" / "noarch").mkdir(parents=True)
    for number in range(COUNT):
        make_conda(tmp_path / "made" / "noarch", name=f"lib-{number // 4}", version=f"1.{number % 4}")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    with live_hub(tmp_path / "a") as source:
        source.manage(
            "importchannel", str(tmp_path / "made"), "--into", "demo", "--label", "dev", "--owner", "admin", "--public"
        )
        internal = source.url.removeprefix("http://")
        with live_hub(tmp_path / "b", HUB_INTERNAL_HOSTS=internal) as target:
            target.manage("createchannel", "copy", "--owner", "admin")
            key = target.manage("createapikey", "admin", "--name", "import", "--scope", "upload").strip()
            reader = target.manage("createapikey", "admin", "--name", "reader", "--scope", "read").strip()
            wanted = {"source": f"{source.url}/demo/label/dev", "subdirs": ["noarch"], "label": "rc"}
            started = call(target, key, "", wanted)
            path = f"/{started['id']}"
            half = until(target, key, path, imported_files=100)

            target.restart()

            job = until(target, key, path, state="done")
            verified = json.loads(target.manage("verify", "copy", "--json"))
            repodata = f"{target.url}/copy/label/rc/noarch/repodata.json"
            target.manage("reindex", "copy")
            with urlopen(Request(repodata, headers={"Authorization": f"Bearer {reader}"})) as answer:
                listed = json.load(answer)["packages.conda"]
    assert half["imported_files"] < COUNT
    assert (job["imported_files"], job["refused_files"], job["failure"]) == (COUNT, 0, "")
    assert job["present_files"] >= half["imported_files"]
    assert verified["differences_left"] == []
    assert len(listed) == COUNT
