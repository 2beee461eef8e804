"""Test of webhooks with a live hub: a worker delivers the events of a real upload."""

import base64
import hashlib
import hmac
from pathlib import Path

from tests.archives import make_conda
from tests.clients.plain import seconds_until, upload
from tests.live import live_hub
from tests.webhooks.receiver import Receiver, listening

ADD = """
from channels_app.access.permissions import Actor
from channels_app.webhooks import webhooks
channel = Channel.objects.get(name="demo")
owner = Actor(user=User.objects.get(username="admin"))
answer = webhooks.add(actor=owner, channel=channel, url="{url}", events=["artifact.published", "index.built"])[1]
"""


def kinds_after_publication(receiver: Receiver) -> list[str]:
    """Return the kinds of the messages after that of the upload. The empty index may be built before it."""
    kinds = [message["type"] for message in receiver.messages]
    return kinds[kinds.index("artifact.published") + 1 :] if "artifact.published" in kinds else []


def test_worker_delivers_events_of_an_upload_signed_and_in_order(tmp_path: Path) -> None:
    with listening() as receiver, live_hub(tmp_path, HUB_INTERNAL_HOSTS=receiver.host) as hub:
        hub.manage("createchannel", "demo", "--owner", "admin")
        key = hub.manage("createapikey", "admin", "--name", "key", "--scope", "upload")
        secret = hub.shell(ADD.format(url=receiver.url))
        package = make_conda(tmp_path)
        assert upload(hub, "demo", package, key).status == 201
        seconds_until(lambda: "index.built" in kinds_after_publication(receiver))
    [published] = [message for message in receiver.messages if message["type"] == "artifact.published"]
    assert published["data"]["file_name"] == package.name
    for headers, body in receiver.received:
        signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), body])
        digest = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
        assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
