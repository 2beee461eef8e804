"""nginx in front of a hub for tests: with the configuration of production, on 127.0.0.1."""

import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path

from deploy import local
from deploy.local import free_port
from tests.live import LiveHub
from tests.stores import UNTIL_STDIN_CLOSES, wait_until_listening

PLAIN = """
worker_processes auto;
pid {run}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    sendfile on;
    tcp_nopush on;
    keepalive_requests 10000;
    access_log /dev/stdout;
    server {{ listen 127.0.0.1:{port}; root {served}; }}
}}
"""


@contextmanager
def nginx(folder: Path, hub_port: int, channels: Path) -> Iterator[str]:
    """Start nginx and yield its URL. Its files are in `folder`; `channels` is the hub's store if that is a folder."""
    run, cache = folder / f"nginx-{secrets.token_hex(4)}", folder / "cache"
    port = free_port()
    local.nginx(run, port, (hub_port, hub_port), cache, channels)
    with _running(run, port) as url:
        yield url


@contextmanager
def fronted(hub: LiveHub, folder: Path) -> Iterator[LiveHub]:
    """Return the same hub, reached through nginx."""
    with nginx(folder, hub.port, hub.data_dir / "channels") as url:
        front = copy(hub)
        front.url, front.port = url, int(url.rpartition(":")[2])
        yield front


@contextmanager
def serving_folder(folder: Path, served: Path) -> Iterator[str]:
    """Start an nginx that only serves the folder `served`, and yield its URL: the peer of benchmarks."""
    run, port = folder / f"nginx-{secrets.token_hex(4)}", free_port()
    run.mkdir()
    (run / "nginx.conf").write_text(PLAIN.format(run=run, port=port, served=served))
    with _running(run, port) as url:
        yield url


@contextmanager
def _running(run: Path, port: int) -> Iterator[str]:
    command = (*UNTIL_STDIN_CLOSES, *local.nginx_command(run))
    with (
        (run / "log").open("wb") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True) as child,
    ):
        try:
            wait_until_listening("nginx", port)
            yield f"http://127.0.0.1:{port}"
        finally:
            child.communicate()
