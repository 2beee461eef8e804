"""docker-compose.yml as data: commands, settings, health checks and dependencies of its services."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docker-compose.yml"
EXAMPLE = ROOT / ".env.example"
HUB_IMAGE = "channelhub"

# $$, ${NAME}, ${NAME:-default} and ${NAME:?message}.
REFERENCE = re.compile(r"\$(?:\$|\{(\w+)(?::([-?])([^}]*))?\})")
UNITS_S = {"s": 1, "m": 60, "h": 3600}


class ComposeError(ValueError):
    """docker-compose.yml or its variables are invalid. The message says why."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the compose file with every ${…} filled in."""

    name: str
    image: str
    command: list[str]
    environment: dict[str, str]
    health_check: list[str]
    conditions: dict[str, str]  # the services that it waits for, with the condition
    ports: list[str]  # ports in its container
    mounts: dict[str, str]  # path in the container → volume, ./folder, secret:NAME, config:NAME or tmpfs
    restarts: bool
    stop_signal: str
    stop_s: int

    @property
    def is_hub(self) -> bool:
        return self.image == HUB_IMAGE


@dataclass(frozen=True, slots=True)
class Project:
    services: dict[str, Service]
    secrets: dict[str, str]
    configs: dict[str, str]


def read_variables(text: str, given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of an .env file. Values in `given` override them, as the shell's variables do."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, is_assignment, value = line.partition("=")
        if is_assignment and not line.startswith("#"):
            found[name] = given.get(name, fill(value, found))
    return found


def fill(text: str, variables: Mapping[str, str]) -> str:
    """Return `text` with its ${…} filled in. Raise ComposeError if a required variable is empty."""

    def value(match: re.Match[str]) -> str:
        name, kind, other = match.groups()
        if name is None:
            return "$"
        found = variables.get(name, "")
        if not found and kind == "?":
            raise ComposeError(f"{name} is not set: {other}; fill it in .env.")
        return found or (other if kind == "-" else "")

    return REFERENCE.sub(value, text)


def read(variables: Mapping[str, str], file: Path = FILE) -> Project:
    """Return the compose file with `variables` filled in."""
    content = _filled(yaml.safe_load(file.read_text()), variables)
    return Project(
        services={name: _service(name, entry) for name, entry in content["services"].items()},
        secrets={name: variables.get(entry["environment"], "") for name, entry in content["secrets"].items()},
        configs={name: entry["content"] for name, entry in content["configs"].items()},
    )


def _filled(content: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(content, dict):
        return {name: _filled(value, variables) for name, value in content.items() if not name.startswith("x-")}
    if isinstance(content, list):
        return [_filled(value, variables) for value in content]
    return fill(content, variables) if isinstance(content, str) else content


def _service(name: str, entry: dict[str, Any]) -> Service:
    return Service(
        name=name,
        image=entry["image"],
        command=shlex.split(entry["command"]),
        environment=entry.get("environment", {}),
        health_check=_health_check(entry.get("healthcheck", {}).get("test", [])),
        conditions={other: wait["condition"] for other, wait in entry.get("depends_on", {}).items()},
        ports=entry.get("expose", []),
        mounts=_mounts(entry),
        restarts=entry["restart"] != "no",
        stop_signal=entry.get("stop_signal", "SIGTERM"),
        stop_s=_seconds(entry.get("stop_grace_period", "10s")),
    )


def _health_check(test: list[str]) -> list[str]:
    return ["sh", "-c", test[1]] if test[:1] == ["CMD-SHELL"] else test[1:]


def _mounts(entry: dict[str, Any]) -> dict[str, str]:
    volumes = [volume.split(":") for volume in entry.get("volumes", [])]
    return (
        {target: source for source, target, *_ in volumes}
        | {f"/run/secrets/{name}": f"secret:{name}" for name in entry.get("secrets", [])}
        | {config["target"]: f"config:{config['source']}" for config in entry.get("configs", [])}
        | {path.partition(":")[0]: "tmpfs" for path in entry.get("tmpfs", [])}
    )


def _seconds(duration: str) -> int:
    return int(duration[:-1]) * UNITS_S[duration[-1]]
