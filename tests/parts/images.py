"""The images of the tests: busybox, and one with every service that a test reloads.

Nothing is pulled: they are made from the mirror that apt uses here, and from PyPI's wheels, and kept
as archives in CONFHUB_TEST_CACHE (~/.cache/confhub). `python -m tests.parts.images` makes them ahead.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.parts.require import missing
from tests.parts.servers import program

BUSYBOX = "confhub-test/busybox:1"
SERVICES = "confhub-test/services:2"  # another number where what stands below changes
NGINX = SERVICES
BUILD_S = 300.0

# What the services' image holds: Debian 12's own versions, and these of PyPI in /opt/python.
SUITE = "bookworm"
PACKAGES = ("nginx-light", "haproxy", "apache2", "postgresql-15", "redis-server", "prometheus", "python3")  # fmt: skip
WHEELS = (
    "gunicorn==27.0.1", "uvicorn==0.54.0", "celery==5.7.0", "redis==8.1.0",
    # What the last but one needs under Python 3.11.2, and pip under a newer 3.11 would leave out.
    "packaging==26.3", "async-timeout==5.0.1",
)  # fmt: skip
PYTHON = "3.11"  # Debian 12's
IN_PYTHON = {"PYTHONPATH": "/opt/python", "PYTHONUNBUFFERED": "1"}  # for containers that run it

# Two thirds of the bytes, which no container here reads: PostgreSQL does without its JIT compiler,
# and Prometheus without its pages.
UNREAD = (
    "./dev", "./proc", "./sys", "./var/cache", "./var/lib/apt", "./usr/share/doc", "./usr/share/i18n",
    "./usr/share/info", "./usr/share/javascript", "./usr/share/locale", "./usr/share/man",
    "./usr/share/nodejs", "./usr/share/sass", "./usr/share/zoneinfo/right",
    "./usr/lib/x86_64-linux-gnu/libLLVM", "./usr/lib/x86_64-linux-gnu/libz3.so",
    "./usr/lib/postgresql/15/lib/llvmjit", "./usr/lib/postgresql/15/lib/bitcode",
)  # fmt: skip

# Reads its file on HUP and says so; ends on TERM. `wait` is what a signal interrupts, not `sleep`.
HANDLER = """#!/bin/sh
n=0
show() { echo "reloads=$n $(cat /run/confhub/config.json 2>/dev/null | tr -d '\\n ')"; }
trap 'n=$((n+1)); show' HUP
trap 'exit 0' TERM
show
while :; do sleep 3600 & wait $!; kill $! 2>/dev/null; done
"""


def cache() -> Path:
    told = os.environ.get("CONFHUB_TEST_CACHE")
    return Path(told) if told else Path.home() / ".cache" / "confhub"


def archive(image: str) -> Path:
    """The image's root file system as a tar, made once for this machine."""
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    kept = folder / f"{image.partition('/')[2].replace(':', '-')}.tar"
    make: Callable[[Path], None] = _busybox if image == BUSYBOX else _services
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists() or image == BUSYBOX:
            with tempfile.TemporaryDirectory(prefix="confhub-image-") as work:
                root = Path(work) / "root"
                make(root)
                half = kept.with_suffix(".half")
                with tarfile.open(half, "w") as made:
                    made.add(root, arcname=".", filter=_wanted)
                half.replace(kept)
    return kept


def _wanted(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what a container never reads, and keep the directories themselves."""
    is_unread = member.name.startswith(UNREAD) and member.name not in UNREAD
    return None if is_unread else member


def _busybox(root: Path) -> None:
    found = program("busybox")
    if found is None:
        missing(
            "docker", "busybox is not there to make an image of (apt-get install busybox-static)"
        )
    for name in ("bin", "tmp", "run", "proc", "sys", "dev", "etc"):
        (root / name).mkdir(parents=True)
    shutil.copy(found, root / "bin" / "busybox")
    names = subprocess.run([found, "--list"], capture_output=True, text=True, check=True).stdout
    for name in names.split():
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    (root / "bin" / "handler").write_text(HANDLER)
    (root / "bin" / "handler").chmod(0o755)


def _services(root: Path) -> None:
    """Debian's packages and, at the same time, the wheels."""
    tool = program("debootstrap") or shutil.which("debootstrap", path="/usr/sbin:/sbin")
    if tool is None:
        missing("docker", "debootstrap is not there to make an image with")
    mirror = _mirror()
    wheels = root.parent / "python"
    _all_of(
        root.parent / "log",
        [tool, "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root), mirror],
        [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--no-compile", "--only-binary=:all:", f"--python-version={PYTHON}",
         "--target", str(wheels), *WHEELS],
    )  # fmt: skip
    shutil.copytree(wheels, root / "opt" / "python")


def _all_of(log: Path, *commands: list[str]) -> None:
    """Run them side by side; the test is skipped with the last words of one that fails."""
    env = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    begun = []
    for number, command in enumerate(commands):
        said = log.with_suffix(f".{number}")
        with said.open("wb") as out:
            begun.append((subprocess.Popen(command, stdout=out, stderr=out, env=env), said))
    try:
        codes = [(process.wait(BUILD_S), said) for process, said in begun]
    finally:
        for process, _ in begun:
            process.kill()
            process.wait()
    for (code, said), command in zip(codes, commands, strict=True):
        if code != 0:
            last = said.read_text(errors="replace").strip().splitlines()[-1:]
            missing("docker", f"{Path(command[0]).name} made no image: {''.join(last)}")


def _mirror() -> str:
    """The Debian mirror that apt uses on this machine."""
    told = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN)|$(COMPONENT)|$(CODENAME)|$(SITE)",
         "Created-By: Packages"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    found = [line.split("|") for line in told.splitlines()]
    sites = [
        site
        for origin, component, codename, site in found
        if (origin, component, "-" in codename) == ("Debian", "main", False)
    ]
    if not sites:
        missing("docker", "apt names no Debian mirror to make an image from (apt-get update)")
    return sites[0]


if __name__ == "__main__":
    for wanted in (BUSYBOX, SERVICES):
        archive(wanted)
