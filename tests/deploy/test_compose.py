"""Tests of docker-compose.yml, .env.example, the image and nginx's templates: valid and consistent with the hub."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings

from channels_app.management.commands.runhub import PARTS
from deploy import compose, local
from deploy.compose import ComposeError, Service
from deploy.local import free_port
from hub.variables import SECTIONS

# The part of the compose specification that this file uses.
TOP_KEYS = {"name", "services", "volumes", "secrets", "configs"}
SERVICE_KEYS = {
    "build", "cap_drop", "command", "configs", "depends_on", "env_file", "environment", "expose", "healthcheck",
    "image", "init", "ports", "read_only", "restart", "secrets", "security_opt", "shm_size", "stop_grace_period",
    "stop_signal", "tmpfs", "volumes",
}  # fmt: skip
TEMPLATES = compose.ROOT / "deploy" / "nginx"
TLS = compose.ROOT / "deploy" / "tls.yml"
REFERENCE = re.compile(r"(?<!\$)\$\{(\w+)")
EXAMPLE = compose.EXAMPLE.read_text()
PASSWORDS = ("HUB_ADMIN_PASSWORD", "SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "AWS_SECRET_ACCESS_KEY")
FILLED = dict.fromkeys(PASSWORDS, "filled") | {"HUB_PUBLIC_URL": "https://hub.example.org"}
VARIABLES = compose.read_variables(EXAMPLE, FILLED)
PROJECT = compose.read(VARIABLES)
SERVICES = PROJECT.services
CONTENT: dict[str, Any] = yaml.safe_load(compose.FILE.read_text())

every_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES)


def test_every_key_is_of_the_specification() -> None:
    assert {key for key in CONTENT if not key.startswith("x-")} == TOP_KEYS
    assert {key for service in CONTENT["services"].values() for key in service} == SERVICE_KEYS


def test_env_example_has_every_variable_and_no_other() -> None:
    asked_for = set(REFERENCE.findall(compose.FILE.read_text()) + REFERENCE.findall(EXAMPLE))
    asked_for |= {secret["environment"] for secret in CONTENT["secrets"].values()}
    assert asked_for == set(VARIABLES)


def test_env_example_says_of_each_variable_why() -> None:
    assert all(paragraph.startswith("# ") for paragraph in EXAMPLE.strip().split("\n\n"))


@pytest.mark.parametrize("name", ["HUB_PUBLIC_URL", "REDIS_PASSWORD", "AWS_SECRET_ACCESS_KEY"])
def test_what_must_be_filled(name: str) -> None:
    with pytest.raises(ComposeError, match=rf"^{name} is not set: expected .+; fill it in \.env\.$"):
        compose.read(compose.read_variables(EXAMPLE, FILLED | {name: ""}))


def test_every_setting_is_one_of_the_hubs() -> None:
    known = {variable.name for variables in SECTIONS.values() for variable in variables}
    given = [name for service in SERVICES.values() if service.is_hub for name in service.environment]
    # Variables of the bucket are read only if HUB_STORAGE is s3.
    assert {name.removesuffix("_FILE") for name in given if not name.startswith("AWS_")} <= known


@every_service
def test_every_secret_and_folder_that_is_named_is_there(service: Service) -> None:
    secrets = {value for value in service.environment.values() if value.startswith("/run/secrets/")}
    assert secrets == {target for target in service.mounts if target.startswith("/run/secrets/")}
    for source in service.mounts.values():
        kind, _, name = source.partition(":")
        known = {"secret": PROJECT.secrets, "config": PROJECT.configs}.get(kind, CONTENT["volumes"])
        is_folder = source.startswith(".") and (compose.ROOT / source).is_dir()
        assert is_folder or source == "tmpfs" or (name or source) in known


@every_service
def test_every_service_is_pinned_and_bounded(service: Service) -> None:
    entry = CONTENT["services"][service.name]
    assert entry["security_opt"] == ["no-new-privileges:true"]
    assert service.is_hub == ("build" in entry)
    assert service.is_hub or re.search(r":\d+\.\d+", service.image)
    assert service.stop_s >= int(service.environment.get("HUB_SHUTDOWN_S", 0)) + 30


@every_service
def test_every_address_is_one_that_is_listened_at(service: Service) -> None:
    listening = {f"{other.name}:{port}" for other in SERVICES.values() for port in other.ports}
    texts = [*service.environment.values(), VARIABLES["DATABASE_URL"], VARIABLES["REDIS_URL"]]
    assert {found for text in texts for found in re.findall(r"(?:^|[@/])([a-z][\w-]*:\d+)", text)} <= listening
    said = str([CONTENT["services"][service.name].get(key) for key in ("command", "environment")])
    assert all(re.search(rf"\b{port}\b", said) for port in service.ports)


def test_nginx_alone_is_reached_from_outside() -> None:
    assert [name for name, entry in CONTENT["services"].items() if "ports" in entry] == ["nginx"]


def test_what_a_service_waits_for_stands_before_it_and_has_a_check() -> None:
    names = list(SERVICES)
    for name, service in SERVICES.items():
        for other, condition in service.conditions.items():
            assert names.index(other) < names.index(name)
            assert condition != "service_healthy" or SERVICES[other].health_check


def test_workers_take_every_queue_once() -> None:
    commands = [SERVICES[name].command for name in ("indexer", "worker")]
    taken = [queue for command in commands for queue in command[command.index("--queues") + 1].split(",")]
    assert sorted(taken) == sorted(queue.name for queue in settings.CELERY_TASK_QUEUES)


@pytest.mark.parametrize(
    ("name", "part"),
    [("web-1", "web"), ("web-2", "web"), ("indexer", "worker"), ("worker", "worker"), ("beat", "beat")],
)
def test_commands_are_those_of_runhub(name: str, part: str) -> None:
    """Compare the commands, except the web server's address and the workers' queues."""
    own = {"", "--pidfile", f"127.0.0.1:{settings.HUB_PORT}"}
    assert set(PARTS[part]) - own <= set(SERVICES[name].command)


def test_templates_and_compose_name_the_same_variables() -> None:
    asked_for = {name for path in TEMPLATES.iterdir() for name in re.findall(r"\$\{(NGINX_\w+)\}", path.read_text())}
    tls = set(yaml.safe_load(TLS.read_text())["services"]["nginx"]["environment"])
    given = {name for name in SERVICES["nginx"].environment if not name.startswith("NGINX_ENVSUBST_")}
    assert given | tls == asked_for


@pytest.mark.skipif(not shutil.which("nginx"), reason="make test-services installs nginx")
@pytest.mark.parametrize("tls", ["off", "on"])
def test_nginx_takes_the_templates(tmp_path: Path, tls: str) -> None:
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=hub.example.org", "-days", "1"]
    files = ["-keyout", f"{tmp_path}/privkey.pem", "-out", f"{tmp_path}/fullchain.pem"]
    subprocess.run([*make, *files], check=True, capture_output=True)
    ports = {(name, port): free_port() for name, service in SERVICES.items() for port in service.ports}
    machine = local.Machine(tmp_path, PROJECT, ports)
    own = {"NGINX_TLS": tls, "NGINX_TLS_PORT": str(free_port()), "NGINX_CERTIFICATES": str(tmp_path)}
    local.render(TEMPLATES, tmp_path, machine.environment(SERVICES["nginx"]) | own)
    done = subprocess.run(["nginx", "-t", "-c", tmp_path / "nginx.conf"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_image_holds_what_the_hub_runs_on_and_nothing_else() -> None:
    taken = [line[1:] for line in (compose.ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert taken == ["manage.py", "LICENSE", "channels_app", "docs", "hub", "publishing", "static", "templates"]
    assert all((compose.ROOT / name).exists() for name in taken)


def test_the_image_has_the_servers_pg_dump_and_no_root() -> None:
    dockerfile = (compose.ROOT / "Dockerfile").read_text()
    [version] = re.findall(r"postgresql-client-(\d+)", dockerfile)
    assert SERVICES["postgres"].image.startswith(f"postgres:{version}.")
    assert "\nUSER hub\n" in dockerfile


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${A}", "1"),
        ("$${A}", "${A}"),
        ("${NONE:-other}", "other"),
        ("${EMPTY:-other}", "other"),
        ("${NONE:-}", ""),
        ("a${A}b${A:-2}", "a1b1"),
        ("$A", "$A"),
    ],
)
def test_filling(text: str, expected: str) -> None:
    assert compose.fill(text, {"A": "1", "EMPTY": ""}) == expected


def test_an_env_file() -> None:
    lines = "# A=0\n\nA=1\nB=x${A}=y\nC=\n"
    assert compose.read_variables(lines, {"C": "given", "D": "unknown"}) == {"A": "1", "B": "x1=y", "C": "given"}


def test_addresses_and_paths_of_this_machine(tmp_path: Path) -> None:
    machine = local.Machine(tmp_path, PROJECT, {("web-1", "8000"): 1001, ("s3", "8333"): 1002})
    web = SERVICES["web-1"]
    assert machine.text(web, "--bind 0.0.0.0:8000 http://s3:8333/ /data/x /database") == (
        f"--bind 127.0.0.1:1001 http://127.0.0.1:1002/ {tmp_path}/volumes/data/x /database"
    )
    secret = Path(machine.text(web, "/run/secrets/secret_key"))
    assert (secret.read_text(), secret.stat().st_mode & 0o777) == ("filled", 0o600)
