"""Test of patches with py-rattler, by shards and by repodata.json."""

from pathlib import Path

from tests.archives import make_conda
from tests.clients.conftest import Keys
from tests.clients.plain import seconds_until, seconds_until_indexed, upload
from tests.clients.reader import Reader
from tests.live import LiveHub

ADD = """
from channels_app.access.permissions import Actor
from publishing.patches import patches
from publishing.patches.rules import NewRule
actor, channel = Actor(user=User.objects.get(username="olga")), Channel.objects.get(name="patched")
for name, changes in (("lib", {"depends": {"remove": ["zlib"]}, "license": "MIT"}), ("bad", {"removed": True})):
    patches.add(actor=actor, channel=channel, rule=NewRule(title="t", names=[name], changes=changes))
"""
UNDO = """
from channels_app.access.permissions import Actor
from publishing.models import Patch
from publishing.patches import patches
for patch in Patch.active(Channel.objects.get(name="patched")):
    patches.undo(actor=Actor(user=User.objects.get(username="olga")), patch=patch)
"""


def test_client_reads_patched_records_until_undo(hub: LiveHub, keys: Keys, tmp_path: Path) -> None:
    hub.manage("createchannel", "patched", "--owner", "olga")
    files = [make_conda(tmp_path, name=name, depends=["zlib"]) for name in ("lib", "bad")]
    for file in files:
        assert upload(hub, "patched", file, keys.olga).status == 201
    names = [file.name for file in files]
    seconds_until_indexed(hub, "patched", "noarch", names, keys.olga)
    readers = [
        Reader(f"{hub.url}/patched", credential={"BearerToken": keys.olga}, shards=shards) for shards in (True, False)
    ]
    before = [reader.records() for reader in readers]
    hub.shell(ADD)
    seconds_until(lambda: len(readers[0].records()) == 1)
    for reader in readers:
        [record] = reader.records().values()
        assert (record["depends"], record["license"]) == ([], "MIT")
        assert reader.solve("lib") == [names[0]]
    hub.shell(UNDO)
    seconds_until(lambda: len(readers[0].records()) == len(names))
    assert [reader.records() for reader in readers] == before
