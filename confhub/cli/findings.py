"""What `doctor` looks at on this machine, each with a sentence and, where it is not well, a way out."""

import json
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from confhub import env
from confhub.cli import session, stack

State = Literal["ok", "note", "wrong"]
_RELEASE = re.compile(r"etcd Version: (\d+)\.(\d+)\.(\d+)")
# https://etcd.io/blog/2022/data_inconsistency_in_v3.5/: members can disagree after a crash
CORRUPTING_ETCD = ((3, 5, 0), (3, 5, 2))


@dataclass(frozen=True, slots=True)
class Finding:
    about: str
    state: State
    text: str


def all_findings() -> Iterator[Finding]:
    yield _python()
    yield _disk()
    yield _frontend()
    yield _kernel()
    if env.flag(
        "CONFHUB_LOCAL", default=settings.DEBUG
    ):  # elsewhere both are other machines' or containers'
        yield _etcd_program()
        yield _engine()
    yield from _database()
    yield from _running()


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("Python", "ok", f"{version}, SQLite {sqlite3.sqlite_version}")


def _frontend() -> Finding:
    if (settings.FRONTEND_DIST / "manifest.json").is_file():
        return Finding("front end", "ok", "built")
    return Finding("front end", "wrong", "not built, so no page has style or script: make web")


def _etcd_program() -> Finding:
    """The one that `make up` starts."""
    try:
        program = stack.find("etcd")
    except stack.NotInstalled as error:
        return Finding("etcd program", "note", str(error))
    answer = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=False, timeout=10
    )
    found = _RELEASE.search(answer.stdout)
    if found is None:
        return Finding("etcd program", "note", f"{program} does not tell its version")
    release = (int(found[1]), int(found[2]), int(found[3]))
    shown = ".".join(map(str, release))
    if CORRUPTING_ETCD[0] <= release <= CORRUPTING_ETCD[1]:
        return Finding(
            "etcd program", "note",
            f"{shown}: fine for `make up`, whose etcd is filled again from the database. Not for "
            "real use: 3.5.0 to 3.5.2 can lose agreement after a crash. Take 3.5.33 or newer, or "
            "Debian's 3.4.",
        )  # fmt: skip
    return Finding("etcd program", "ok", shown)


def _kernel() -> Finding:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return Finding(
            "pidfd", "wrong", "this kernel has no pidfd_open: Linux 5.3 or newer is needed"
        )
    return Finding("pidfd", "ok", "processes can be signalled without mistaking one for another")


def _engine() -> Finding:
    """Is there a container engine, and may we ask it?"""
    path = Path(env.text("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://"))
    if not path.is_socket():
        return Finding(
            "engine", "note", f"no socket at {path}: processes are served, no containers"
        )
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(path))
        except OSError as error:
            return Finding(
                "engine", "note",
                f"{path}: {error.strerror or error}. Containers are served only by a user who may "
                "open it (root, or a member of the group docker).",
            )  # fmt: skip
    if os.geteuid() != 0:
        return Finding(
            "engine", "note",
            f"{path} answers; as an ordinary user only your own processes can be signalled.",
        )  # fmt: skip
    return Finding("engine", "ok", f"{path} answers")


def _database() -> Iterator[Finding]:
    try:
        connection.ensure_connection()
        executor = MigrationExecutor(connection)
        waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as error:
        yield Finding("database", "wrong", f"{str(error).strip()}. Check DATABASE_URL.")
        return
    if waiting:
        yield Finding(
            "database", "wrong",
            f"{len(waiting)} migrations wait: manage.py bootstrap --migrate (make up does it).",
        )  # fmt: skip
        return
    yield Finding("database", "ok", f"{connection.vendor}, all migrations applied")
    if not get_user_model().objects.filter(is_active=True).exists():
        yield Finding("people", "wrong", "nobody can sign in: manage.py bootstrap makes admin")


def _running() -> Iterator[Finding]:
    """What the running server itself says of what it depends on."""
    held = session.read_up_file(env.VAR_DIR)
    url = str(held.get("url") or f"http://127.0.0.1:{settings.PORT}")
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=8) as answer:  # noqa: S310  # loopback
            document = json.load(answer)
    except urllib.error.HTTPError as error:
        try:
            document = json.load(error)
        except ValueError:
            document = {}
    except (OSError, ValueError):
        document = {}
    dependencies = document.get("dependencies") if isinstance(document, dict) else None
    if not dependencies:
        yield Finding("server", "note", f"no ConfHub answers at {url}: make up")
        return
    yield Finding("server", "ok", url)
    for name, found in dependencies.items():
        yield Finding(name, "ok" if found["ok"] else "wrong", found["why"] or "well")


def _disk() -> Finding:
    """Room where we write; etcd and the database both stop without."""
    where = env.VAR_DIR if env.VAR_DIR.is_dir() else env.BASE_DIR
    free_gib = shutil.disk_usage(where).free / 2**30
    state: State = "ok" if free_gib >= 1 else "wrong"
    return Finding("disk", state, f"{free_gib:.1f} GiB free at {where}")
