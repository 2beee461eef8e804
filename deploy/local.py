"""A compose service as a plain process on this machine: its address, paths, settings and program."""

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

from deploy.compose import ROOT, Project, Service, read_variables

INHERITED = ("HOME", "LANG", "TMPDIR", "TZ")
DOCKERS_DNS = "127.0.0.11"
# Below the range that Linux uses for outgoing connections (ip_local_port_range).
PORTS = range(20_000, 32_000)
_asked = count(secrets.randbelow(len(PORTS)))
DEBIANS_POSTGRES = "/usr/lib/postgresql"


class Machine:
    """The ports and paths of a project on this machine. All data of its services lies below `folder`."""

    def __init__(self, folder: Path, project: Project, ports: Mapping[tuple[str, str], int]) -> None:
        self.folder = folder
        self.project = project
        self.ports = ports

    def command(self, service: Service) -> list[str]:
        return ENTRY_POINTS.get(service.name, _plain_command)(self, service)

    def health_check(self, service: Service) -> list[str]:
        return self.texts(service, service.health_check)

    def environment(self, service: Service) -> dict[str, str]:
        """Return the environment of a service. As in a container, it has none of this process's settings."""
        further = self.folder / "hub.env"
        settings = read_variables(further.read_text(), {}) if service.is_hub and further.exists() else {}
        own = {name: self.text(service, value) for name, value in service.environment.items()}
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        return inherited | {"PATH": _path()} | settings | own

    def texts(self, service: Service, texts: list[str]) -> list[str]:
        return [self.text(service, text) for text in texts]

    def text(self, service: Service, text: str) -> str:
        """Return `text` of a service's command or settings with the addresses and paths of this machine."""
        text = self._addressed(text)
        for own in service.ports:
            text = re.sub(rf"(?<![\d.]){own}\b", str(self.ports[service.name, own]), text)
        for target in sorted(service.mounts, key=len, reverse=True):
            text = re.sub(rf"(?<![\w./-]){target}(?![\w-])", str(self.place(service, target)), text)
        return text.replace("0.0.0.0", "127.0.0.1").replace(DOCKERS_DNS, _name_server())  # noqa: S104

    def place(self, service: Service, target: str) -> Path:
        """Return the local path for the container path `target`. Write the file or create the folder."""
        source = service.mounts[target]
        kind, _, name = source.partition(":")
        if kind in ("secret", "config"):
            content = self.project.secrets[name] if kind == "secret" else self.project.configs[name]
            return self._written(f"{kind}s/{name}", self._addressed(content))
        if source.startswith("."):
            return ROOT / source
        folder = self.folder / (f"run/{service.name}" if source == "tmpfs" else f"volumes/{source}")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _addressed(self, text: str) -> str:
        for (name, own), port in self.ports.items():
            text = re.sub(rf"(?<![\w.-]){name}:{own}\b", f"127.0.0.1:{port}", text)
        return text

    def _written(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        if path.read_text() != content:
            path.write_text(content)
        return path


def runs_as(service: Service) -> str | None:
    """Return the user that runs the service if it isn't ours: PostgreSQL refuses to run as root."""
    return "postgres" if service.name == "postgres" and os.geteuid() == 0 else None


def free_port() -> int:
    """Return a free port, another one each time. Outgoing connections use ports above PORTS, so they don't take it."""
    while True:
        port = PORTS[next(_asked) % len(PORTS)]
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def _name_server() -> str:
    found = re.search(r"^nameserver ([\d.]+)", Path("/etc/resolv.conf").read_text(), re.MULTILINE)
    return found[1] if found else "127.0.0.1"


def _path() -> str:
    """Return PATH with this Python's programs first, and those of Debian's PostgreSQL, which are on no PATH."""
    servers = sorted(Path(DEBIANS_POSTGRES).glob("*/bin"))[-1:]
    return ":".join(map(str, [Path(sys.executable).parent, os.environ["PATH"], *servers]))


# Equivalents of the images' entry points.


def _plain_command(machine: Machine, service: Service) -> list[str]:
    return machine.texts(service, service.command)


def _postgres(machine: Machine, service: Service) -> list[str]:
    data = machine.place(service, "/var/lib/postgresql/data")
    if not (data / "PG_VERSION").exists():
        _initialise(machine, service, data)
    return [*machine.texts(service, service.command), "-D", str(data), "-h", "127.0.0.1", "-k", str(data)]


def _initialise(machine: Machine, service: Service, data: Path) -> None:
    """Create the database cluster with the role and the database of the service's environment."""
    if user := runs_as(service):
        shutil.chown(data, user)
    role, database = service.environment["POSTGRES_USER"], service.environment["POSTGRES_DB"]
    password = machine.place(service, "/run/secrets/postgres_password").read_text()
    statements = f"ALTER ROLE {role} PASSWORD '{password}';\nCREATE DATABASE {database};\n"
    cluster = ["--username", role, "--encoding", "UTF8", "--locale", "C.UTF-8"]
    authentication = ["--auth-local", "trust", "--auth-host", "scram-sha-256"]
    for command in (["initdb", *cluster, *authentication], ["postgres", "--single", "postgres"]):
        subprocess.run(
            command,
            cwd=data,
            env=machine.environment(service) | {"PGDATA": str(data)},
            user=user,
            input=statements.encode(),
            stdout=subprocess.DEVNULL,
            check=True,
        )


def _seaweedfs(machine: Machine, service: Service) -> list[str]:
    logs = machine.place(service, "/data") / "logs"
    logs.mkdir(exist_ok=True)
    return [
        "weed",
        f"-logdir={logs}",
        "-alsologtostderr=false",
        "-stderrthreshold=2",
        *machine.texts(service, service.command),
    ]


def _nginx(machine: Machine, service: Service) -> list[str]:
    rendered = machine.place(service, service.environment["NGINX_ENVSUBST_OUTPUT_DIR"])
    render(machine.place(service, "/etc/nginx/templates"), rendered, machine.environment(service))
    *command, directives = machine.texts(service, service.command)
    return [*command, f"{directives} user root;" if os.geteuid() == 0 else directives]


def render(templates: Path, folder: Path, variables: Mapping[str, str]) -> None:
    """Render templates like the image's envsubst: only ${NGINX_…} is replaced."""
    for template in templates.glob("*.template"):
        text = re.sub(r"\$\{(NGINX_\w+)\}", lambda match: variables.get(match[1], match[0]), template.read_text())
        (folder / template.stem).write_text(text)


ENTRY_POINTS = {"postgres": _postgres, "s3": _seaweedfs, "nginx": _nginx}
