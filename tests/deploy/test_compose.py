"""Tests of docker-compose.yml, .env.example, the image and nginx's templates: valid, consistent with hub and stack."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from deploy import local, stack
from deploy.local import Service, free_port
from hub.variables import SECTIONS

# The part of the compose specification that this file uses.
TOP_KEYS = {"name", "services", "volumes", "secrets", "configs"}
SERVICE_KEYS = {
    "build", "cap_drop", "command", "configs", "depends_on", "env_file", "environment", "expose", "healthcheck",
    "image", "init", "ports", "read_only", "restart", "secrets", "security_opt", "shm_size", "stop_grace_period",
    "stop_signal", "tmpfs", "volumes",
}  # fmt: skip
TEMPLATES = stack.ROOT / "deploy" / "nginx"
TLS = stack.ROOT / "deploy" / "tls.yml"
REFERENCE = re.compile(r"(?<!\$)\$\{(\w+)(?::-([^}]*))?")
ASSIGNMENT = re.compile(r"^(\w+)=", re.MULTILINE)
# Addresses, ports and paths, which differ between containers and plain processes.
PLACE = re.compile(r"\b(?:127\.0\.0\.1|0\.0\.0\.0)\b|\b\d{4,5}\b|/[\w./-]+")
COMPOSE = (stack.ROOT / "docker-compose.yml").read_text()
EXAMPLE = (stack.ROOT / ".env.example").read_text()
CONTENT: dict[str, Any] = yaml.safe_load(COMPOSE)
SERVICES: dict[str, dict[str, Any]] = CONTENT["services"]
COMMANDS = {name: shlex.split(service["command"]) for name, service in SERVICES.items()}
VARIABLES = {name: service.get("environment", {}) for name, service in SERVICES.items()}
HUB = [name for name, service in SERVICES.items() if "build" in service]

every_service = pytest.mark.parametrize("name", SERVICES)


def without_places(text: str) -> str:
    return PLACE.sub("…", text)


def filled(text: str) -> str:
    """Return `text` with the default of each ${NAME:-default}, and with "secret" for all others."""
    return re.sub(REFERENCE.pattern + r"[^}]*\}", lambda match: match[2] or "secret", text)


@pytest.fixture
def local_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Service]:
    """Return the services of `make stack` with the password "secret". No database cluster is created."""
    for name in [name for name in os.environ if name.startswith((*stack.SETTINGS, "NGINX_"))]:
        monkeypatch.delenv(name)
    for name, content in (("password", "secret"), ("postgres/PG_VERSION", "")):
        local.private_file(tmp_path / name, content)
    servers, addresses = stack.own_servers(tmp_path)
    settings = stack.hub_settings(tmp_path, free_port()) | addresses
    groups = [servers, *stack.hub_services(settings, tmp_path, free_port())]
    return {service.name: service for group in groups for service in group}


def test_every_key_is_of_the_specification() -> None:
    assert {key for key in CONTENT if not key.startswith("x-")} == TOP_KEYS
    assert {key for service in SERVICES.values() for key in service} == SERVICE_KEYS


def test_env_example_has_every_variable_and_no_other() -> None:
    asked_for = {name for name, _ in REFERENCE.findall(COMPOSE + EXAMPLE)}
    asked_for |= {secret["environment"] for secret in CONTENT["secrets"].values()}
    assert asked_for == set(ASSIGNMENT.findall(EXAMPLE))


def test_env_example_says_of_each_variable_why() -> None:
    assert all(paragraph.startswith("# ") for paragraph in EXAMPLE.strip().split("\n\n"))


@pytest.mark.parametrize("name", ["HUB_PUBLIC_URL", "REDIS_PASSWORD", "AWS_SECRET_ACCESS_KEY"])
def test_compose_without_a_required_variable_does_not_start(name: str) -> None:
    assert re.search(rf"\$\{{{name}:\?expected ", COMPOSE)


def test_every_setting_is_one_of_the_hubs() -> None:
    known = {variable.name for variables in SECTIONS.values() for variable in variables}
    given = {name for service in HUB for name in VARIABLES[service]}
    # Variables of the bucket are read only if HUB_STORAGE is s3.
    assert {name.removesuffix("_FILE") for name in given if not name.startswith("AWS_")} <= known


@every_service
def test_every_secret_and_folder_that_is_named_is_there(name: str) -> None:
    service = SERVICES[name]
    secrets = {value.removeprefix("/run/secrets/") for value in VARIABLES[name].values() if "/run/secrets/" in value}
    assert secrets == set(service.get("secrets", [])) <= set(CONTENT["secrets"])
    assert {config["source"] for config in service.get("configs", [])} <= set(CONTENT["configs"])
    for source in (volume.partition(":")[0] for volume in service.get("volumes", [])):
        assert (stack.ROOT / source).is_dir() if source.startswith(".") else source in CONTENT["volumes"]


@every_service
def test_every_service_is_pinned_and_bounded(name: str) -> None:
    service = SERVICES[name]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.search(r":\d+\.\d+", service["image"]) or (service["image"] == "channelhub" and name in HUB)
    assert name not in HUB or (service["stop_grace_period"], VARIABLES[name]["HUB_SHUTDOWN_S"]) == ("5m", "270")


@every_service
def test_every_address_is_one_that_is_listened_at(name: str) -> None:
    listening = {f"{other}:{port}" for other, service in SERVICES.items() for port in service.get("expose", [])}
    texts = [*map(filled, VARIABLES[name].values()), *EXAMPLE.splitlines()]
    assert {found for text in texts for found in re.findall(r"(?:^|[@/])([a-z][\w-]*:\d+)", text)} <= listening
    said = str([SERVICES[name].get(key) for key in ("command", "environment")])
    assert all(re.search(rf"\b{port}\b", said) for port in SERVICES[name].get("expose", []))


def test_nginx_alone_is_reached_from_outside() -> None:
    assert [name for name, entry in CONTENT["services"].items() if "ports" in entry] == ["nginx"]


def test_services_wait_for_earlier_services_with_a_health_check() -> None:
    names = list(SERVICES)
    for name, service in SERVICES.items():
        for other, wait in service.get("depends_on", {}).items():
            assert names.index(other) < names.index(name)
            assert wait["condition"] != "service_healthy" or "healthcheck" in SERVICES[other]


def test_workers_take_every_queue_once() -> None:
    commands = [COMMANDS[name] for name in ("indexer", "worker")]
    taken = [queue for command in commands for queue in command[command.index("--queues") + 1].split(",")]
    assert sorted(taken) == sorted(queue.name for queue in settings.CELERY_TASK_QUEUES)


def test_stack_has_the_services_of_compose_in_their_order(local_services: dict[str, Service]) -> None:
    assert list(local_services) == list(SERVICES)


@every_service
def test_stack_command_is_that_of_compose(name: str, local_services: dict[str, Service]) -> None:
    """Compare the commands without addresses, ports and paths. Servers have further options in the stack."""
    expected, found = (list(map(without_places, each)) for each in (COMMANDS[name], local_services[name].command))
    assert found == expected if name in HUB else set(" ".join(expected).split()) <= set(" ".join(found).split())


@every_service
def test_stack_service_stops_like_that_of_compose(name: str, local_services: dict[str, Service]) -> None:
    assert signal.Signals(local_services[name].stop_signal).name == SERVICES[name].get("stop_signal", "SIGTERM")
    assert local_services[name].is_job == (SERVICES[name]["restart"] == "no")


def test_stack_settings_are_those_of_compose(tmp_path: Path, local_services: dict[str, Service]) -> None:
    """Compare the settings that the stack sets. For others, it keeps the defaults of the hub."""
    environment = local_services["web-1"].environment or {}
    given = {name: without_places(filled(value)) for name, value in VARIABLES["web-1"].items()}
    given |= {name.removesuffix("_FILE"): "" for name in given if name.endswith("_FILE")}
    own = {name: without_places(value) for name, value in environment.items() if name.startswith(stack.SETTINGS)}
    assert set(own) <= set(given)
    assert {name for name in own if given[name] not in ("", own[name])} == {"HUB_PUBLIC_URL"}


def test_stack_configurations_are_those_of_compose(tmp_path: Path, local_services: dict[str, Service]) -> None:
    content = {name: filled(config["content"]) for name, config in CONTENT["configs"].items()}
    assert json.loads((tmp_path / "s3" / "s3.json").read_text()) == json.loads(content["s3"])
    lines = [line for line in content["redis"].splitlines() if not line.startswith("#")]
    assert (tmp_path / "redis" / "redis.conf").read_text().splitlines() == lines


def test_stack_password_is_readable_only_by_its_owner(tmp_path: Path, local_services: dict[str, Service]) -> None:
    files = [tmp_path / name for name in ("password", "redis/redis.conf", "s3/s3.json")]
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600] * 3


def test_templates_and_compose_name_the_same_variables() -> None:
    asked_for = {name for path in TEMPLATES.iterdir() for name in re.findall(r"\$\{(NGINX_\w+)\}", path.read_text())}
    tls = set(yaml.safe_load(TLS.read_text())["services"]["nginx"]["environment"])
    given = {name for name in VARIABLES["nginx"] if not name.startswith("NGINX_ENVSUBST_")}
    assert given | tls == asked_for


@pytest.mark.skipif(not shutil.which("nginx"), reason="make test-services installs nginx")
@pytest.mark.parametrize("tls", ["off", "on"])
def test_nginx_takes_the_templates(tmp_path: Path, tls: str) -> None:
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=hub.example.org", "-days", "1"]
    files = ["-keyout", f"{tmp_path}/privkey.pem", "-out", f"{tmp_path}/fullchain.pem"]
    subprocess.run([*make, *files], check=True, capture_output=True)
    variables = {"NGINX_TLS": tls, "NGINX_TLS_PORT": str(free_port()), "NGINX_CERTIFICATES": str(tmp_path)}
    local.nginx(tmp_path, free_port(), (free_port(), free_port()), tmp_path / "cache", tmp_path, variables)
    done = subprocess.run(["nginx", "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_image_contains_only_the_files_of_the_hub() -> None:
    taken = [line[1:] for line in (stack.ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert taken == ["manage.py", "LICENSE", "channels_app", "docs", "hub", "publishing", "static", "templates"]
    assert all((stack.ROOT / name).exists() for name in taken)


def test_the_image_has_the_servers_pg_dump_and_no_root() -> None:
    dockerfile = (stack.ROOT / "Dockerfile").read_text()
    [version] = re.findall(r"postgresql-client-(\d+)", dockerfile)
    assert SERVICES["postgres"]["image"].startswith(f"postgres:{version}.")
    assert "\nUSER hub\n" in dockerfile
