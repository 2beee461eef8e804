"""`python -m deploy.stack`: every service of docker-compose.yml as a plain process on 127.0.0.1.

Commands, settings, order, health checks, restarts and stop signals come from the file. Service names become 127.0.0.1
with free ports, and container paths become folders below `--folder`.
"""

import argparse
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path

from deploy import compose
from deploy.compose import ComposeError, Service
from deploy.local import Machine, free_port, runs_as
from hub.server.processes import Process, die_with_parent, end_by_interrupt, stop

LOOK_S = 0.2
HEALTHY_S = 180
HEALTH_CHECK_S = 30


class Stack:
    """The services of the compose file, except those in `without`, which run elsewhere."""

    def __init__(self, folder: Path, port: int, without: Collection[str] = ()) -> None:
        variables = compose.read_variables((folder / ".env").read_text(), os.environ)
        project = compose.read(variables)
        self.services = {name: service for name, service in project.services.items() if name not in without}
        ports = {(service.name, own): free_port() for service in self.services.values() for own in service.ports}
        ports["nginx", self.services["nginx"].ports[0]] = port
        self.machine = Machine(folder, project, ports)
        self.processes: dict[str, Process] = {}

    def start(self) -> None:
        """Start all services, each after the services that it waits for are healthy or done."""
        for service in self.services.values():
            for other in service.conditions.keys() & self.services.keys():
                self.wait(other, service.conditions[other])
            self.run(service)
        self.wait("nginx", "service_healthy")

    def run(self, service: Service) -> None:
        """Start one service in its own session, so that Ctrl-C reaches it only through `stop`."""
        self.processes[service.name] = subprocess.Popen(
            self.machine.command(service),
            cwd=compose.ROOT,
            env=self.machine.environment(service),
            user=runs_as(service),
            start_new_session=True,
            preexec_fn=die_with_parent,
        )

    def wait(self, name: str, condition: str) -> None:
        process, deadline = self.processes[name], time.monotonic() + HEALTHY_S
        while time.monotonic() < deadline:
            code = process.poll()
            if condition == "service_completed_successfully" and code == 0:
                return
            if code is not None:
                raise ComposeError(f"{name} could not be started (exit code {code}); see above.")
            if condition == "service_healthy" and self.is_healthy(self.services[name]):
                return
            time.sleep(LOOK_S / 4)
        raise ComposeError(f"{name} was not ready within {HEALTHY_S} seconds; see above.")

    def is_healthy(self, service: Service) -> bool:
        quiet, environment = subprocess.DEVNULL, self.machine.environment(service)
        check = self.machine.health_check(service)
        try:
            return not subprocess.call(check, stdout=quiet, stderr=quiet, env=environment, timeout=HEALTH_CHECK_S)
        except subprocess.TimeoutExpired:
            return False

    def restart_stopped(self) -> list[str]:
        """Restart services that stopped by themselves and return their names."""
        stopped = [name for name, process in self.processes.items() if process.poll() is not None]
        restarted = [name for name in stopped if self.services[name].restarts]
        for name in restarted:
            self.run(self.services[name])
        return restarted

    def stop(self) -> None:
        """Stop all services, in the reverse order of their start."""
        for name, process in reversed(self.processes.items()):
            service = self.services[name]
            stop([process], signal.Signals[service.stop_signal], service.stop_s)


def main() -> None:
    options = arguments()
    try:
        prepare(options.folder, options.port)
        run(Stack(options.folder, options.port, options.without))
    except ComposeError as error:
        sys.exit(str(error))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="deploy.stack", description="Run the services of docker-compose.yml.")
    data = Path(os.environ.get("HUB_DATA_DIR", compose.ROOT / "build" / "stack"))
    parser.add_argument("--folder", type=Path, default=data, help="folder of .env and of all data")
    parser.add_argument("--port", type=int, default=int(os.environ.get("HUB_PORT", "8000")), help="port of nginx")
    parser.add_argument("--without", nargs="*", default=[], help="services to leave out, because they run elsewhere")
    return parser.parse_args()


def prepare(folder: Path, port: int) -> None:
    """Create .env at the first start, as an operator fills it: empty values of the example get a value."""
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".env").exists():
        given = {"HUB_PUBLIC_URL": f"http://127.0.0.1:{port}"}
        lines = [
            f"{line}{given.get(line[:-1], secrets.token_hex(16))}" if line.endswith("=") else line
            for line in compose.EXAMPLE.read_text().splitlines()
        ]
        (folder / ".env").write_text("\n".join(lines))
        (folder / ".env").chmod(0o600)


def run(stack: Stack) -> None:
    end_by_interrupt()
    environment = stack.machine.environment(stack.services["setup"])
    exported = stack.machine.folder / "environment"
    exported.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()))
    try:
        stack.start()
        print(f"Channelhub is ready at {environment['HUB_PUBLIC_URL']} (Ctrl-C stops it).", flush=True)  # noqa: T201
        print(f"To run manage.py with its settings: (. {exported}; python manage.py …)", flush=True)  # noqa: T201
        while True:
            time.sleep(LOOK_S)
            for name in stack.restart_stopped():
                print(f"{name} stopped by itself; it was started again.", file=sys.stderr, flush=True)  # noqa: T201
    except KeyboardInterrupt:
        print("Stopping.", flush=True)  # noqa: T201
    finally:
        stack.stop()


if __name__ == "__main__":
    main()
