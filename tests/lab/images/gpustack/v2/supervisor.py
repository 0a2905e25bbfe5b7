# Copyright (c) 2026, The fleetops.gpustack contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for the s6 supervision tree of the published GPUStack 2.x images.

Runs, in the order and with the failure modes of the release: the pre-run check (GPUStack's own, from 2.0.1 on), the
embedded PostgreSQL, the migration, `gpustack start`, and a forwarder in place of the gateway. Which of the services run
is read from what `gpustack prerun` has written, as s6 does. Release 2.0.0 has no pre-run check; its image looks at the
arguments itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import secrets
import signal
import socket
import string
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

HERE = Path("/usr/local/lib/gpustack-lab")
SERVICES = Path("/etc/s6-overlay/s6-rc.d")
DEFAULT_DATA_DIR = "/var/lib/gpustack"
DATABASE_FILES = "/etc/postgresql/main"
GATEWAY_SOURCE = "127.0.0.2"


def say(text: str) -> None:
    print(text, flush=True)


def read_settings(path: str) -> dict[str, str]:
    """The NAME=value lines of a file that GPUStack wrote for the services."""
    lines = Path(path).read_text().splitlines() if os.path.exists(path) else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


def option(arguments: list[str], *names: str) -> str | None:
    """The value of a command line option, in either of its forms, else of its environment variable."""
    for position, argument in enumerate(arguments):
        name, has_value, value = argument.partition("=")
        if name in names and has_value:
            return value
        if argument in names and position + 1 < len(arguments):
            return arguments[position + 1]
    return os.environ.get("GPUSTACK_" + names[0].strip("-").upper().replace("-", "_")) or None


class StopError(Exception):
    """The container was told to stop."""


class BringUpError(Exception):
    """A service failed in a way that ends the bring-up."""


class Supervisor:
    def __init__(self, release: dict[str, Any], arguments: list[str]) -> None:
        self.release = release
        self.start_arguments = arguments
        saved = Path(release["args_file"]).read_text().splitlines()
        self.saved_arguments = [line for line in saved if line]
        self.database: subprocess.Popen[bytes] | None = None
        self.gateway: list[subprocess.Popen[bytes]] = []
        self.program: subprocess.Popen[bytes] | None = None
        # Where GPUStack's own pre-run check leaves word for the services; the place differs by release.
        self.service_environment: dict[str, str] = release["service_environment"]

    # -- bring-up ------------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Bring everything up, wait for the program's end, bring everything down; the container's exit status."""
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        try:
            settings = self.bring_up()
            say("[INFO] Starting gpustack.")
            return self.serve(settings)
        except BringUpError as exc:
            return self.give_up(str(exc))
        except StopError:
            return 0
        finally:
            self.bring_down()

    def bring_up(self) -> dict[str, str]:
        """Start what `gpustack start` depends on; return the settings of the services."""
        for path in self.service_environment.values():
            os.makedirs(os.path.dirname(path) if path.endswith(".env") else path, mode=0o755, exist_ok=True)
        enabled, settings = self.decide()
        if "postgres" in enabled:
            self.start_database(settings)
        if "gpustack-migration" in enabled:
            self.migrate(settings)
        return settings

    def decide(self) -> tuple[set[str], dict[str, str]]:
        """Which services run, and their settings."""
        return self.prerun() if self.release["prerun"] else self.check_role()

    def prerun(self) -> tuple[set[str], dict[str, str]]:
        """Run GPUStack's own check of ports and options, and read what it decided."""
        Path(self.service_environment["GPUSTACK_GATEWAY_CONFIG"]).unlink(missing_ok=True)  # an earlier start's
        say("[INFO] Starting gpustack prerun check.")
        done = subprocess.run(
            ["gpustack", "prerun", *self.saved_arguments],
            env={**os.environ, **self.service_environment},
            check=False,
        )
        if done.returncode != 0:
            raise BringUpError(
                "/run/s6/basedir/scripts/rc.init: fatal: hook /etc/s6-overlay/scripts/gpustack-prerun.sh"
                f" exited {done.returncode}"
            )
        enabled = {entry.name for entry in SERVICES.glob("user/contents.d/*")}
        enabled |= {entry.name for entry in SERVICES.glob("gpustack/dependencies.d/*")}
        settings = read_settings(self.service_environment["GPUSTACK_POSTGRES_CONFIG"])
        settings.update(read_settings(self.service_environment["GPUSTACK_GATEWAY_CONFIG"]))
        return enabled, settings

    def check_role(self) -> tuple[set[str], dict[str, str]]:
        """What the image of 2.0.0 does itself: a server with an embedded database, unless told otherwise."""
        arguments = self.saved_arguments
        is_worker = bool(option(arguments, "--server-url", "-s"))
        has_database = not is_worker and not option(arguments, "--database-url")
        settings = {
            "DATA_DIR": DEFAULT_DATA_DIR,
            "LOG_DIR": f"{DEFAULT_DATA_DIR}/log",
            "POSTGRES_DATA_DIR": f"{DEFAULT_DATA_DIR}/postgresql/data",
            "STATE_MIGRATION_DONE_FILE": f"{DEFAULT_DATA_DIR}/run/state_migration_done",
            "EMBEDDED_DATABASE_PORT": option(arguments, "--database-port") or "5432",
        }
        if not is_worker:
            settings["GATEWAY_HTTP_PORT"] = option(arguments, "--port") or "80"
            settings["GATEWAY_HTTPS_PORT"] = option(arguments, "--tls-port") or "443"
            settings["GPUSTACK_API_PORT"] = option(arguments, "--api-port") or "8080"
        return {"gpustack-migration", *(["postgres"] if has_database else [])}, settings

    def give_up(self, cause: str) -> int:
        """What s6 does when the bring-up fails: end the container, or, in 2.0.0, leave it up without the program."""
        say(cause)
        if self.release["stays_up_after_failure"]:
            self.wait_for_stop()
            return 0
        say("/run/s6/basedir/scripts/rc.init: fatal: stopping the container.")
        return 1

    @staticmethod
    def service_failed(name: str, status: int) -> BringUpError:
        return BringUpError(
            f"s6-rc: warning: unable to start service {name}: command exited {status}\n"
            "/run/s6/basedir/scripts/rc.init: warning: s6-rc failed to properly bring all the services up!"
            " Check your logs (in /run/uncaught-logs/current if you have in-container logging) for more information."
        )

    # -- the embedded database -----------------------------------------------------------------------------------

    def start_database(self, settings: dict[str, str]) -> None:
        """Start PostgreSQL; a start that fails is tried again in 2.0.0, and ends the container later."""
        while True:
            try:
                self.prepare_database(settings)
                self.run_database(settings)
                return
            except subprocess.CalledProcessError as exc:
                if not self.release["stays_up_after_failure"]:
                    say("[INFO] Service 'postgres' exited with non-zero code, shutting down container...")
                    raise self.service_failed("postgres", exc.returncode) from exc
                time.sleep(1)  # the pause of s6 between two starts of a service

    def prepare_database(self, settings: dict[str, str]) -> None:
        port = settings["EMBEDDED_DATABASE_PORT"]
        if not self.release["prerun"] and listens(int(port)):
            say(
                f"[ERROR] Port {port} is already in use and required by the embedded database."
                " Please specify a different port using --database-port."
            )
            raise subprocess.CalledProcessError(1, "postgres")
        data = Path(settings["POSTGRES_DATA_DIR"])
        for path, mode in ((data, 0o700), (Path(settings["LOG_DIR"], "postgresql"), 0o755)):
            if not path.is_dir():
                self.make_directory(path, mode)
        password = self.password(Path(settings["DATA_DIR"], "postgres_root_pass"))
        if not (data / "PG_VERSION").exists():
            say("[INFO] Initializing Postgres database.")
            as_postgres("initdb", "-D", str(data), stdout=subprocess.DEVNULL)
        quiet = ("-s", "-D", str(data), "-w")
        as_postgres("pg_ctl", *quiet, "-o", f"-c listen_addresses=localhost -c port={port}", "start")
        try:
            if not query(port, "SELECT 1 FROM pg_roles WHERE rolname='root'"):
                # By standard input: a password has no business in the arguments of a process.
                execute(port, f"CREATE USER root WITH PASSWORD '{password}';")
            if not query(port, "SELECT 1 FROM pg_database WHERE datname='gpustack'"):
                execute(port, "CREATE DATABASE gpustack OWNER root;")
        finally:
            as_postgres("pg_ctl", *quiet, "-m", "fast", "stop")

    def make_directory(self, path: Path, mode: int) -> None:
        """As `mkdir -p` does it, with parents opened up to 0755 where the release does that."""
        owner = pwd.getpwnam("postgres")
        path.mkdir(parents=True)
        if self.release["opens_directories"]:
            path.chmod(0o755)
        os.chown(path, owner.pw_uid, owner.pw_gid)
        path.chmod(mode)

    @staticmethod
    def password(path: Path) -> str:
        if path.exists():
            say(f"[INFO] Postgres root password read from {path}.")
            return path.read_text().strip()
        letters = string.ascii_letters + string.digits + "!@#$%^&*_+="
        drawn = secrets.choice(string.ascii_letters) + "".join(secrets.choice(letters) for _index in range(15))
        password = os.environ.get("POSTGRES_PASSWORD") or drawn
        path.touch(mode=0o600)
        path.write_text(f"{password}\n")
        say(f"[INFO] Postgres root password written to {path}.")
        return password

    def run_database(self, settings: dict[str, str]) -> None:
        port, data = settings["EMBEDDED_DATABASE_PORT"], settings["POSTGRES_DATA_DIR"]
        say("[INFO] Starting Postgres.")
        logs = Path(settings["LOG_DIR"], "postgresql")
        options = {
            "config_file": f"{DATABASE_FILES}/postgresql.conf",
            "hba_file": f"{DATABASE_FILES}/pg_hba.conf",
            "log_directory": str(logs),
        }
        command = ["gosu", "postgres", "/usr/lib/postgresql/15/bin/postgres", "-D", data, "-p", port]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        self.database = subprocess.Popen(command, start_new_session=True)
        while self.database.poll() is None:
            say("[INFO] Checking Postgres readiness.")
            asked = subprocess.run(["gosu", "postgres", "pg_isready", "-p", port, "-q"], check=False)
            if asked.returncode == 0:
                say("[INFO] Postgres is ready.")
                return
            say("[ERROR] Postgres is not ready.")
            time.sleep(1)
        raise subprocess.CalledProcessError(self.database.returncode, "postgres")

    # -- the migration -------------------------------------------------------------------------------------------

    def migrate(self, settings: dict[str, str]) -> None:
        """The migration script of the release: which variable it obeys is the release's, and so are its words."""
        source = self.migration_source(settings)
        done_file = Path(settings["STATE_MIGRATION_DONE_FILE"])
        if source is None:
            say("[INFO] No migration data dir specified, skipping.")
            return
        if done_file.exists():
            say("[INFO] Migration already completed previously. Skipping.")
            return
        say(f"[INFO] Using GPUSTACK_MIGRATION_DATA_DIR: {source}.")
        url = f"postgresql://root@localhost:{settings['EMBEDDED_DATABASE_PORT']}/gpustack"
        command = ["gpustack", "migrate", "--migration-data-dir", source, "--database-url", url]
        done = subprocess.run(command, check=False)
        if done.returncode != 0:
            say("[ERROR] Migration failed.")
            raise self.service_failed("gpustack-migration", 1)
        done_file.parent.mkdir(parents=True, exist_ok=True)
        done_file.touch()
        say("[INFO] Migration completed successfully.")

    def migration_source(self, settings: dict[str, str]) -> str | None:
        if self.release["migration_variable"] == "GPUSTACK_MIGRATION_DATA_DIR":
            return os.environ.get("GPUSTACK_MIGRATION_DATA_DIR") or None
        # Compared as the shell does it: `True` and `1` are not `true`.
        return settings["DATA_DIR"] if os.environ.get("GPUSTACK_DATA_MIGRATION") == "true" else None

    # -- the program and its gateway -----------------------------------------------------------------------------

    def serve(self, settings: dict[str, str]) -> int:
        """Run `gpustack start` without its own gateway, and forward the users' port to it."""
        environment = {**os.environ, "GPUSTACK_GATEWAY_MODE": "disabled"}
        if self.release["trusts_localhost"]:
            # Behind the published image's gateway a request from the container itself must log in, as any other.
            environment["GPUSTACK_FORCE_AUTH_LOCALHOST"] = "true"
        self.program = subprocess.Popen(["gpustack", "start", *self.start_arguments], env=environment)
        self.start_gateway(settings)
        status = self.program.wait()
        say(f"[INFO] gpustack exited with code {status}, shutting down all services...")
        if self.release["stays_up_after_failure"]:
            self.wait_for_stop()
        return status if status >= 0 else 128 - status

    def start_gateway(self, settings: dict[str, str]) -> None:
        """Forward the users' port once the API listens; from an address of its own, so that nobody looks local."""
        assert self.program is not None
        if "GATEWAY_HTTP_PORT" not in settings:
            return
        port, target = settings["GATEWAY_HTTP_PORT"], settings["GPUSTACK_API_PORT"]
        while not listens(int(target)):
            if self.program.poll() is not None:
                return
            time.sleep(0.2)
        self.forward(f"TCP-LISTEN:{port}", port, target)
        key, certificate = (option(self.start_arguments, name) for name in ("--ssl-keyfile", "--ssl-certfile"))
        if key and certificate:
            # The published image's gateway gets the pair from the program (gpustack/gateway, ensure_tls_secret).
            port = settings["GATEWAY_HTTPS_PORT"]
            self.forward(f"OPENSSL-LISTEN:{port},cert={certificate},key={key},verify=0", port, target)

    def forward(self, listener: str, port: str, target: str) -> None:
        """Forward what a listener of socat takes to the API."""
        command = ["socat", f"{listener},fork,reuseaddr,backlog=128", f"TCP:127.0.0.1:{target},bind={GATEWAY_SOURCE}"]
        self.gateway.append(subprocess.Popen(command, start_new_session=True))
        say(f"[INFO] Stand-in gateway forwards port {port} to {target}.")

    # -- bring-down ----------------------------------------------------------------------------------------------

    @staticmethod
    def wait_for_stop() -> None:
        with contextlib.suppress(StopError):
            signal.pause()

    def _on_stop(self, _signal: int, _frame: FrameType | None) -> None:
        raise StopError

    def bring_down(self) -> None:
        """Stop in the reverse order of the start. PostgreSQL is stopped fast, which is clean."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for process in (*self.gateway, self.program):
            if process and process.poll() is None:
                process.terminate()
                end(process)
        if self.database and self.database.poll() is None:
            self.database.send_signal(signal.SIGINT)
            self.database.wait()


def end(process: subprocess.Popen[bytes]) -> None:
    """Wait as long as s6 waits for its services, then kill."""
    try:
        process.wait(timeout=3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def listens(port: int) -> bool:
    """Whether something in this network namespace accepts connections on the port of the loopback address."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def as_postgres(*command: str, stdout: int | None = None, text: str | None = None) -> str:
    done = subprocess.run(["gosu", "postgres", *command], check=True, stdout=stdout, input=text, text=True, cwd="/")
    return done.stdout or ""


def query(port: str, statement: str) -> str:
    return as_postgres("psql", "-p", port, "-tAc", statement, stdout=subprocess.PIPE).strip()


def execute(port: str, statements: str) -> None:
    as_postgres("psql", "-p", port, "-q", "-v", "ON_ERROR_STOP=1", stdout=subprocess.DEVNULL, text=statements)


if __name__ == "__main__":
    sys.exit(Supervisor(json.loads((HERE / "release.json").read_text()), sys.argv[1:]).run())
