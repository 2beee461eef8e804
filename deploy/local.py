"""The services of docker-compose.yml as programs of this machine, on 127.0.0.1.

tests/deploy/test_compose.py compares their commands and variables with those of the file.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from signal import SIGINT, SIGQUIT, SIGTERM
from string import Template
from urllib.request import urlopen

TEMPLATES = Path(__file__).parent / "nginx"
# Below the range that Linux uses for outgoing connections (ip_local_port_range).
PORTS = range(20_000, 32_000)
_asked = count(secrets.randbelow(len(PORTS)))
SEAWEEDFS_PORTS = (
    "metricsPort", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port",
    "filer.port.grpc", "s3.port.grpc",
)  # fmt: skip
HEALTH_CHECK_S = 30


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """A program with its health check and the signal that stops it."""

    name: str
    command: list[str]
    environment: Mapping[str, str] | None = None  # by default that of this process
    is_healthy: Callable[[], bool] = lambda: True
    is_job: bool = False  # ends by itself
    user: str | None = None
    stop_signal: int = SIGTERM
    stop_s: int = 60


def postgres(folder: Path, port: int, password: str) -> Service:
    """Create a database cluster in `folder` at the first start, with the database `hub` and its owner `hub`."""
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if not (folder / "PG_VERSION").exists():
        folder.mkdir(parents=True, exist_ok=True)
        if user:
            shutil.chown(folder, user)
        cluster = ["initdb", "-D", str(folder), "--username", "hub", "--encoding", "UTF8", "--locale", "C.UTF-8"]
        authentication = ["--auth-local", "trust", "--auth-host", "scram-sha-256"]
        statements = f"ALTER ROLE hub PASSWORD '{password}';\nCREATE DATABASE hub;\n"
        for command in ([*cluster, *authentication], ["postgres", "--single", "-D", str(folder), "postgres"]):
            quiet = subprocess.DEVNULL
            subprocess.run(command, cwd=folder, user=user, input=statements.encode(), stdout=quiet, check=True)
    address = ["-h", "127.0.0.1", "-p", str(port)]
    return Service(
        "postgres",
        ["postgres", "-c", "max_connections=300", "-D", str(folder), *address, "-k", str(folder)],
        is_healthy=partial(succeeds, "pg_isready", *address, "--username", "hub"),
        user=user,
        stop_signal=SIGINT,
    )


def redis(folder: Path, port: int, password: str) -> Service:
    content = f"requirepass {password}\nappendonly yes\nmaxmemory-policy noeviction\n"
    file = str(private_file(folder / "redis.conf", content))
    return Service(
        "redis",
        ["redis-server", file, "--bind", "127.0.0.1", "--port", str(port), "--dir", str(folder)],
        # A refusal for the missing password also shows that Redis runs.
        is_healthy=partial(succeeds, "redis-cli", "-h", "127.0.0.1", "-p", str(port), "ping"),
    )


def seaweedfs(folder: Path, port: int, password: str, *, volume_mb: int = 1024) -> Service:
    """Return SeaweedFS with an S3 server, which accepts the access key `hub` with the secret `password`."""
    identity = {"name": "hub", "actions": ["Admin"], "credentials": [{"accessKey": "hub", "secretKey": password}]}
    file = private_file(folder / "s3.json", json.dumps({"identities": [identity]}))
    return Service(
        "s3",
        [
            "weed",
            *(f"-logdir={folder}", "-alsologtostderr=false", "-stderrthreshold=2"),
            *("server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *("-volume.max=0", f"-master.volumeSizeLimitMB={volume_mb}", "-master.telemetry=false"),
            *(f"-{name}={free_port()}" for name in SEAWEEDFS_PORTS),
            *("-filer", "-s3", "-s3.ip.bind=127.0.0.1", f"-s3.port={port}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
            f"-s3.config={file}",
        ],
        is_healthy=partial(answers, port),
    )


def nginx(
    run: Path, port: int, webs: tuple[int, int], cache: Path, channels: Path, variables: Mapping[str, str] | None = None
) -> Service:
    """Fill in the templates of nginx's configuration, as the image's envsubst does, and write them to `run`.

    `webs` are the ports of the web processes. `variables` replace the values of this machine.
    """
    values = {
        "NGINX_PORT": f"127.0.0.1:{port}",
        "NGINX_WEB_1": f"127.0.0.1:{webs[0]}",
        "NGINX_WEB_2": f"127.0.0.1:{webs[1]}",
        "NGINX_RUN": str(run),
        "NGINX_CACHE": str(cache),
        "NGINX_CACHE_SIZE": "20g",
        "NGINX_CHANNELS": str(channels),
        "NGINX_RESOLVER": "127.0.0.1",
        "NGINX_CA_FILE": "/etc/ssl/certs/ca-certificates.crt",
        "NGINX_MAX_BODY": "2049m",
        "NGINX_TRUST_PROTO": "no",
        "NGINX_TLS": "off",
    } | dict(variables or {})
    for folder in (run, cache):
        folder.mkdir(parents=True, exist_ok=True)
    for template in TEMPLATES.iterdir():
        (run / template.stem).write_text(Template(template.read_text()).safe_substitute(values))
    is_healthy = partial(answers, port)
    return Service("nginx", nginx_command(run), is_healthy=is_healthy, stop_signal=SIGQUIT, stop_s=300)


def nginx_command(run: Path) -> list[str]:
    """Return the command of nginx with the configuration in `run`. Its workers get the user of this process."""
    user = " user root;" if os.geteuid() == 0 else ""
    return ["nginx", "-c", str(run / "nginx.conf"), "-g", f"daemon off;{user}"]


def answers(port: int) -> bool:
    try:
        urlopen(f"http://127.0.0.1:{port}/healthz", timeout=HEALTH_CHECK_S).close()
    except OSError:
        return False
    return True


def succeeds(*command: str) -> bool:
    quiet = subprocess.DEVNULL
    with suppress(subprocess.TimeoutExpired):
        return not subprocess.call(command, stdout=quiet, stderr=quiet, timeout=HEALTH_CHECK_S)
    return False


def free_port() -> int:
    """Return a free port, another one each time. Outgoing connections use ports above PORTS, so they don't take it."""
    while True:
        port = PORTS[next(_asked) % len(PORTS)]
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def private_file(path: Path, content: str) -> Path:
    """Write a file that other users can't read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(content)
    return path
