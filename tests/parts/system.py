"""The whole system as child processes: etcd, Redis, web, workers, beat, and services under `confhub run`."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.parts.servers import EtcdServer, RedisServer, Server, wait_until

ROOT = Path(__file__).resolve().parent.parent.parent
PASSWORD = "the password of the tests"
TOKEN = "the-token-of-the-tests-0123456789"
HOST = "testhost"
SLOW_START_S = 60.0  # two cores may start everything at once


class Part(Server):
    """One of our own processes, with the system's environment. `answers` is overridden by kind."""

    def __init__(self, name: str, directory: Path, command: list[str], environment: dict[str, str]) -> None:  # fmt: skip
        super().__init__(directory / name)
        self.name = name
        self._command = command
        self.environment = environment

    def command(self) -> list[str]:
        return [word.replace("{port}", str(self.port)) for word in self._command]

    def start(self) -> None:
        """Start it and wait until it answers; its output is in `log`."""
        self.launch()
        self.wait()

    def wait(self) -> None:
        wait_until(
            self.answers, what=f"{self.name}; see {self.directory / 'log'}", timeout_s=SLOW_START_S
        )

    def launch(self) -> None:
        """Start it without waiting."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, cwd=ROOT, env=self.environment
            )

    def answers(self) -> bool:
        """True while it runs. AssertionError with the end of its log where it has ended by itself."""
        if self.process is None:
            return False
        code = self.process.poll()
        assert code is None, f"{self.name} ended with {code}: {self.log()}"
        return True

    def log(self) -> str:
        """The end of what it said."""
        path = self.directory / "log"
        return path.read_text(errors="replace")[-4000:] if path.is_file() else ""


class Web(Part):
    def answers(self) -> bool:
        super().answers()
        try:
            return httpx.get(f"{self.url}/healthz", timeout=1).status_code == 200
        except httpx.HTTPError:
            return False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Worker(Part):
    """Answers once Celery says that it is ready; a restart appends to the log, so count the lines."""

    _ready_before = 0

    def launch(self) -> None:
        self._ready_before = self._times_ready()
        super().launch()

    def answers(self) -> bool:
        return super().answers() and self._times_ready() > self._ready_before

    def _times_ready(self) -> int:
        path = self.directory / "log"
        return path.read_text(errors="replace").count(" ready.") if path.is_file() else 0


class System:
    """ConfHub whole, in `directory`, with a database of its own.

    `start()` brings everything up; each part can be killed, frozen and started again by its name.
    `database_url` is a SQLite file in the directory unless given. `settings` are further
    environment variables.
    """

    def __init__(
        self, directory: Path, *, etcd: EtcdServer | None = None, redis: RedisServer | None = None,
        database_url: str | None = None, settings: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.directory = directory
        self.own = [part for part, given in (("etcd", etcd), ("redis", redis)) if given is None]
        self.etcd = etcd or EtcdServer(directory / "etcd")
        self.redis = redis or RedisServer(directory / "redis")
        self.prefix = "/confhub/v1" if etcd is None else f"/system/{directory.name}"
        self.environment = self._environment(database_url, settings or {})
        celery = [sys.executable, "-m", "celery", "-A", "confhub"]
        threads = ["--pool", "threads"]
        self.web = Web("web", directory, _uvicorn(), self.environment)
        self.worker = Worker(
            "worker", directory,
            [*celery, "worker", "-Q", "confhub", "-n", f"main-{directory.name}@%h", *threads, "-c", "4"],
            {**self.environment, "CONFHUB_FOLLOW": "true"},
        )  # fmt: skip
        self.host = Worker(
            "host", directory,
            [*celery, "worker", "-Q", f"host.{HOST}", "-n", f"host-{directory.name}@%h", *threads, "-c", "2"],
            {**self.environment, "CONFHUB_HOST_DUTY": "true"},
        )  # fmt: skip
        self.beat = Part("beat", directory, [*celery, "beat"], self.environment)
        self.services: list[Part] = []

    def _environment(self, database_url: str | None, settings: dict[str, str]) -> dict[str, str]:
        return {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "confhub.settings",
            "CONFHUB_VAR_DIR": str(self.directory / "var"),
            "CONFHUB_HOST": HOST,
            "CONFHUB_STATE_DIR": str(self.directory / "state"),
            "CONFHUB_LOCAL": "true",
            "SECRET_KEY": "the secret key of the tests, which signs nothing elsewhere",
            "CONFHUB_ADMIN_PASSWORD": PASSWORD,
            "CONFHUB_ADMIN_TOKEN": TOKEN,
            "DATABASE_URL": database_url or f"sqlite:///{self.directory / 'confhub.sqlite3'}",
            "ETCD_ENDPOINTS": self.etcd.endpoint,
            "ETCD_PREFIX": self.prefix,
            "REDIS_URL": self.redis.url,
            "CONFHUB_CALLS_PER_MINUTE": "0",  # tests and benchmarks are quicker than anybody else
            "PYTHONUNBUFFERED": "1",
            **settings,
        }

    def start(self, *, host_duty: bool = False) -> None:
        """Everything; the worker that serves this machine's containers only where asked for."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "var").mkdir(exist_ok=True)
        for name in self.own:
            getattr(self, name).start()
        self.manage("bootstrap", "--migrate")
        parts = [self.web, self.worker, self.beat, *([self.host] if host_duty else [])]
        for part in parts:
            part.launch()
        for part in parts:
            part.wait()

    def stop(self) -> None:
        for part in (*self.services, self.beat, self.host, self.worker, self.web):
            part.stop()
        for name in self.own:
            getattr(self, name).stop()

    def __enter__(self) -> "System":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        return self.web.url

    def manage(self, *arguments: str) -> str:
        """Run a management command; CalledProcessError with its output where it fails."""
        ran = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, f"manage.py {' '.join(arguments)}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def run(
        self, service: str, environment: str, *command: str, name: str = "run",
        reload: str = "signal:HUP", soak: str = "2s", settings: dict[str, str] | None = None,
    ) -> Part:  # fmt: skip
        """Start `command` under `confhub run`, as a container's first process would be."""
        part = Part(
            f"{name}-{len(self.services)}", self.directory,
            [sys.executable, "-m", "watchers.cli", "run", "--service", service,
             "--environment", environment, "--reload", reload, "--soak", soak, "--", *command],
            {**self.environment, **(settings or {}), "CONFHUB_STATE_DIR": str(self.directory / f"{name}-{len(self.services)}-state")},
        )  # fmt: skip
        self.services.append(part)
        part.launch()
        return part

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """(status, JSON) of a REST call as admin; `path` below /api/v1."""
        answer = httpx.request(
            method,
            f"{self.url}/api/v1{path}",
            json=body,
            headers={
                "Authorization": f"Bearer {TOKEN}",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
            timeout=15,
        )
        return answer.status_code, answer.json() if answer.content else None

    def publish(self, service: str, environment: str, values: dict[str, Any], message: str = "test") -> int:  # fmt: skip
        """Publish `values` over what is there, the draft left alone; the release's number."""
        path = f"/services/{service}/environments/{environment}/releases"
        status, made = self.call("POST", path, {"message": message, "set": values})
        assert status in (200, 201), made
        return int(made["release"])


def _uvicorn() -> list[str]:
    return [
        sys.executable, "-m", "uvicorn", "confhub.asgi:application", "--host", "127.0.0.1",
        "--port", "{port}", "--no-access-log", "--timeout-graceful-shutdown", "3",
        "--ws-max-size", "65536", "--log-level", "warning",
    ]  # fmt: skip
