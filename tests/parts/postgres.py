"""A PostgreSQL cluster of the test's own, on a loopback port; fsync on, as its users have it."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.parts.servers import Server, wait_until

_VERSIONS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def binary(name: str) -> str | None:
    """`name` on PATH, else where Debian keeps the server's programs."""
    return shutil.which(name) or next(
        (str(folder / name) for folder in _VERSIONS if (folder / name).exists()), None
    )


def is_there() -> bool:
    return binary("initdb") is not None and binary("postgres") is not None


class PostgresServer(Server):
    """PostgreSQL refuses to run as root, so root starts it as the user `nobody`."""

    name = "postgresql"

    def __init__(self, directory: Path) -> None:
        self._as_user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self._as_user is not None:
            # Not below pytest's directory: every run of pytest closes that to all but its user.
            directory = Path(tempfile.mkdtemp(prefix="confhub-postgres-"))
            os.chown(directory, self._as_user.pw_uid, self._as_user.pw_gid)
        super().__init__(directory)

    @property
    def url(self) -> str:
        return f"postgres://confhub@127.0.0.1:{self.port}/confhub"

    def command(self) -> list[str]:
        return [
            *self._prefix(), binary("postgres") or "postgres", "-D", str(self.directory / "data"), "-p", str(self.port),
            "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.directory}",
            "-c", "max_connections=200",
        ]  # fmt: skip

    def start(self) -> None:
        """Make the cluster where there is none, start it, and make the database `confhub`."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if not (self.directory / "data").exists():
            self._make()
        super().start()
        wait_until(lambda: self._sql("SELECT 1") == 0, what="PostgreSQL answers")
        self._sql("CREATE DATABASE confhub OWNER confhub", database="postgres")

    def stop(self) -> None:
        """End it; what root put aside for it is removed."""
        super().stop()
        if self._as_user is not None:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _make(self) -> None:
        subprocess.run(
            [*self._prefix(), binary("initdb") or "initdb", "-D", str(self.directory / "data"),
             "-U", "confhub", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8"],
            check=True, capture_output=True, cwd=self.directory, timeout=120,
        )  # fmt: skip

    def _sql(self, statement: str, *, database: str = "postgres") -> int:
        done = subprocess.run(
            [binary("psql") or "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "confhub", "-d", database, "-qc", statement],
            capture_output=True, check=False, timeout=20,
        )  # fmt: skip
        return done.returncode

    def _prefix(self) -> list[str]:
        if self._as_user is None:
            return []
        return [
            "setpriv",
            f"--reuid={self._as_user.pw_uid}",
            f"--regid={self._as_user.pw_gid}",
            "--clear-groups",
        ]
