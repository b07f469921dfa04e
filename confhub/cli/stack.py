"""The programs of `make up`: their commands, ports and environment."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from confhub import env
from confhub.cli import ports
from confhub.cli.supervisor import Program

DEMO_KEYS = env.VAR_DIR / "demo-secrets-key"  # what opens the demo's secrets; session.py writes it
# etcd refuses data of a newer version, so each has its own; what was in it is published again.
_VERSION = re.compile(r"etcd Version: (\d+\.\d+)")


class NotInstalled(Exception):
    """A program that ConfHub cannot do without is neither on PATH nor in .venv."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything listens, all on loopback."""

    web: int
    etcd: int
    etcd_peer: int
    redis: int
    demo: int

    @property
    def url(self) -> str:
        return f"http://{ports.LOOPBACK}:{self.web}"

    @property
    def etcd_endpoint(self) -> str:
        return f"{ports.LOOPBACK}:{self.etcd}"

    @property
    def redis_url(self) -> str:
        return f"redis://{ports.LOOPBACK}:{self.redis}/0"

    @property
    def demo_url(self) -> str:
        return f"http://{ports.LOOPBACK}:{self.demo}"


def choose_addresses(web: int) -> Addresses:
    """The usual ports, or the next free ones; `web` stays what it was asked to be."""
    taken = {web}
    return Addresses(
        web=web,
        etcd=ports.next_free(2379, taken=taken),
        etcd_peer=ports.next_free(2380, taken=taken),
        redis=ports.next_free(6379, taken=taken),
        demo=ports.next_free(min(web + 90, 60_000), taken=taken),
    )


def find(name: str) -> str:
    """`name` on PATH, else beside our Python, where the wheels put it. Raises NotInstalled."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        raise NotInstalled(
            f"{name} is neither on PATH nor in .venv. `make up` installs it there; with a Python "
            f"for which no such wheel exists, install {name} with the system's package manager."
        )
    return found


def etcd_version(program: str) -> str:
    """ "3.5"; "unknown" where the program does not say."""
    answer = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False, timeout=10
    )
    found = _VERSION.search(answer.stdout)
    return found[1] if found else "unknown"


def environment(at: Addresses) -> dict[str, str]:
    """What every program of ours is told. Nothing here comes from another ConfHub's settings."""
    return env.with_ours(
        CONFHUB_LOCAL="true",
        CONFHUB_VAR_DIR=str(env.VAR_DIR),
        DATABASE_URL=f"sqlite:///{env.VAR_DIR / 'confhub.sqlite3'}",
        ETCD_ENDPOINTS=at.etcd_endpoint,
        REDIS_URL=at.redis_url,
        PORT=str(at.web),
        PYTHONUNBUFFERED="1",
    )


def stores(at: Addresses) -> list[Program]:
    """etcd and Redis. Redis keeps nothing on disk: it holds doorbells only."""
    etcd, redis = find("etcd"), find("redis-server")
    client = f"http://{at.etcd_endpoint}"
    peer = f"http://{ports.LOOPBACK}:{at.etcd_peer}"
    data = env.VAR_DIR / f"etcd-{etcd_version(etcd)}"
    ours = env.with_ours()
    return [
        Program(
            "etcd",
            [
                etcd, "--name", "local", "--data-dir", str(data),
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", f"local={peer}", "--logger", "zap", "--log-level", "warn",
                "--auto-compaction-mode", "periodic", "--auto-compaction-retention", "1h",
            ],
            ours, is_store=True,
        ),
        Program(
            "redis",
            [
                redis, "--bind", ports.LOOPBACK, "--port", str(at.redis), "--save", "",
                "--appendonly", "no", "--maxmemory-policy", "noeviction",
                "--dir", str(env.VAR_DIR),
            ],
            ours, is_store=True,
        ),
    ]  # fmt: skip


def web(at: Addresses) -> Program:
    return Program(
        "web",
        [
            sys.executable, "-m", "uvicorn", "confhub.asgi:application",
            "--host", ports.LOOPBACK, "--port", str(at.web), "--no-access-log",
            "--timeout-graceful-shutdown", "3", "--ws-max-size", "65536",
        ],
        environment(at),
    )  # fmt: skip


def workers(at: Addresses, host: str) -> list[Program]:
    """One worker for everything, one that serves this host's containers, and beat."""
    celery = [sys.executable, "-m", "celery", "-A", "confhub"]
    ours = environment(at)
    return [
        Program(
            "worker",
            [*celery, "worker", "-Q", "confhub", "-n", "main@%h", "--pool", "threads", "-c", "4"],
            {**ours, "CONFHUB_FOLLOW": "true"},
        ),
        Program(
            "host",
            [*celery, "worker", "-Q", f"host.{host}", "-n", "host@%h", "--pool", "threads", "-c", "2"],
            {
                **ours,
                "CONFHUB_HOST": host,
                "CONFHUB_HOST_DUTY": "true",
                "CONFHUB_STATE_DIR": str(env.VAR_DIR / "host-state"),
            },
        ),
        Program("beat", [*celery, "beat"], ours),
    ]  # fmt: skip


def demo(at: Addresses, *, service: str, environment_slug: str) -> Program:
    """A real process under `confhub run`, whose page and log show what it runs with."""
    return Program(
        "demo",
        [
            sys.executable, "-m", "watchers.cli", "run",
            "--service", service, "--environment", environment_slug, "--reload", "signal:HUP",
            "--", sys.executable, "-m", "watchers.demo", "--port", str(at.demo),
        ],
        {
            **environment(at),
            "CONFHUB_STATE_DIR": str(env.VAR_DIR / "demo-state"),
            "CONFHUB_SECRETS_KEY_FILE": str(DEMO_KEYS),
            "CONFHUB_SECRETS_ON_DISK": "true",  # its files are on this machine's disk, in var/
        },
    )  # fmt: skip
