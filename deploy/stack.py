"""`python -m deploy.stack`: the services of docker-compose.yml as plain processes on 127.0.0.1.

Its settings are environment variables, as those of `manage.py runhub`. PostgreSQL, Redis and SeaweedFS are started
unless DATABASE_URL, REDIS_URL or AWS_S3_ENDPOINT_URL names another server. All data is below HUB_DATA_DIR.
"""

import os
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from deploy import local
from deploy.local import Service, answers, free_port, private_file
from hub.server import programs
from hub.server.processes import Process, die_with_parent, end_by_interrupt, stop

ROOT = Path(__file__).resolve().parent.parent
LOOK_S = 0.2
HEALTHY_S = 180
STOP_S = 300
DEBIANS_POSTGRES = Path("/usr/lib/postgresql")
SETTINGS = ("HUB_", "AWS_", "DATABASE_URL", "EMAIL_URL", "REDIS_URL", "SECRET_KEY", "SENTRY_DSN")
READY = """Channelhub is ready at {url} (Ctrl-C stops it).
To run manage.py with its settings: (. {file}; python manage.py …)"""


class StackError(Exception):
    """A service can't be started. The message says which one."""


class Stack:
    """Running services. Those of one group start at once, when the group before is healthy or done."""

    def __init__(self, groups: Sequence[Sequence[Service]]) -> None:
        self.groups = groups
        self.processes: dict[Service, Process] = {}

    def start(self) -> None:
        for group in self.groups:
            for service in group:
                self.run(service)
            for service in group:
                self.wait(service)

    def run(self, service: Service) -> None:
        """Start one service in its own session, so that Ctrl-C reaches it only through `stop`."""
        self.processes[service] = subprocess.Popen(
            service.command,
            cwd=ROOT,
            env=service.environment,
            user=service.user,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    def wait(self, service: Service) -> None:
        process, deadline = self.processes[service], time.monotonic() + HEALTHY_S
        while time.monotonic() < deadline:
            code = process.poll()
            if service.is_job and code == 0:
                return
            if code is not None:
                raise StackError(f"{service.name} could not be started (exit code {code}); see above.")
            if not service.is_job and service.is_healthy():
                return
            time.sleep(LOOK_S / 4)
        raise StackError(f"{service.name} was not ready within {HEALTHY_S} seconds; see above.")

    def restart_stopped(self) -> list[str]:
        """Restart services that stopped by themselves and return their names."""
        stopped = [
            service for service, process in self.processes.items() if process.poll() is not None and not service.is_job
        ]
        for service in stopped:
            self.run(service)
        return [service.name for service in stopped]

    def stop(self) -> None:
        """Stop all services, in the reverse order of their start."""
        for service, process in reversed(self.processes.items()):
            stop([process], service.stop_signal, service.stop_s)


def main() -> None:
    os.environ["PATH"] = _path()
    folder = Path(os.environ.get("HUB_DATA_DIR", ROOT / "build" / "stack")).resolve()
    port = int(os.environ.get("HUB_PORT", "8000"))
    servers, addresses = own_servers(folder)
    settings = hub_settings(folder, port) | addresses
    lines = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items())
    exported = private_file(folder / "environment", lines)
    stack = Stack([servers, *hub_services(settings, folder, port)])
    try:
        run(stack, READY.format(url=settings["HUB_PUBLIC_URL"], file=exported))
    except StackError as error:
        sys.exit(str(error))


def own_servers(folder: Path) -> tuple[list[Service], dict[str, str]]:
    """Return the servers that are started here, and the settings with their addresses."""
    password = _password(folder)
    servers: list[Service] = []
    settings: dict[str, str] = {}
    if "DATABASE_URL" not in os.environ:
        servers.append(local.postgres(folder / "postgres", port := free_port(), password))
        settings["DATABASE_URL"] = f"postgres://hub:{password}@127.0.0.1:{port}/hub"
    if "REDIS_URL" not in os.environ:
        servers.append(local.redis(folder / "redis", port := free_port(), password))
        settings["REDIS_URL"] = f"redis://:{password}@127.0.0.1:{port}/0"
    if "AWS_S3_ENDPOINT_URL" not in os.environ:
        servers.append(local.seaweedfs(folder / "s3", port := free_port(), password))
        settings |= {
            "AWS_S3_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_S3_REGION_NAME": "us-east-1",
            "AWS_S3_ADDRESSING_STYLE": "path",
            "AWS_STORAGE_BUCKET_NAME": "channels",
            "AWS_ACCESS_KEY_ID": "hub",
            "AWS_SECRET_ACCESS_KEY": password,
        }
    return servers, settings


def hub_settings(folder: Path, port: int) -> dict[str, str]:
    """Return the settings of the hub's processes, without the addresses of its servers."""
    defaults = {
        "HUB_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "HUB_PROXIES": "1",
        "HUB_DELIVERY": "accel",
        "HUB_SHUTDOWN_S": "270",
        "HUB_STORAGE": "s3",
    }
    given = {name: value for name, value in os.environ.items() if name.startswith(SETTINGS)}
    return defaults | given | {"HUB_DATA_DIR": str(folder / "data")}


def hub_services(settings: Mapping[str, str], folder: Path, port: int) -> list[list[Service]]:
    """Return the hub's processes and nginx, which listens on `port`, in the groups in which they start."""
    hub = partial(Service, environment=os.environ | settings | programs.CHECKED, stop_s=STOP_S)
    webs = free_port(), free_port()
    variables = {name: value for name, value in os.environ.items() if name.startswith("NGINX_")}
    return [
        [hub("setup", ["python", "manage.py", "preparehub"], is_job=True)],
        [
            hub("web-1", programs.web(f"127.0.0.1:{webs[0]}"), is_healthy=partial(answers, webs[0])),
            hub("web-2", programs.web(f"127.0.0.1:{webs[1]}"), is_healthy=partial(answers, webs[1])),
            hub("indexer", programs.worker("--hostname", "indexer@%h", "--queues", "index")),
            hub("worker", programs.worker("--hostname", "worker@%h", "--queues", "checks,housekeeping")),
            hub("beat", programs.BEAT),
        ],
        [local.nginx(folder / "nginx", port, webs, folder / "cache", folder / "data" / "channels", variables)],
    ]


def run(stack: Stack, ready: str) -> None:
    """Run all services until Ctrl-C or SIGTERM. Print `ready` when nginx answers."""
    end_by_interrupt()
    try:
        stack.start()
        print(ready, flush=True)  # noqa: T201
        while True:
            time.sleep(LOOK_S)
            for name in stack.restart_stopped():
                print(f"{name} stopped by itself; it was started again.", file=sys.stderr, flush=True)  # noqa: T201
    except KeyboardInterrupt:
        print("Stopping.", flush=True)  # noqa: T201
    finally:
        stack.stop()


def _path() -> str:
    """Return PATH with this Python's programs first, and those of Debian's PostgreSQL, which are on no PATH."""
    servers = sorted(DEBIANS_POSTGRES.glob("*/bin"))[-1:]
    return ":".join(map(str, [Path(sys.executable).parent, os.environ["PATH"], *servers]))


def _password(folder: Path) -> str:
    """Return the password of the servers that are started here. The first start creates it."""
    file = folder / "password"
    if not file.exists():
        private_file(file, secrets.token_hex(16))
    return file.read_text()


if __name__ == "__main__":
    main()
