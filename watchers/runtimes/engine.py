"""An engine's API, asked with GET and nothing else: a proxy may refuse every other method.

https://docs.docker.com/reference/api/engine/version/v1.41/ (podman answers the same paths)
"""

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit

from watchers.stopping import Stop

TIMEOUT_S = 10
NEWEST_API = (1, 44)  # what stands here was read in the documentation up to this version
MAX_EVENT_BYTES = 1024 * 1024  # one with many labels has some kilobytes
# Those after which a container may be another one than before; not the many of exec and its probes.
# podman's server filters by its own words (`died`, `remove`) and then says `die` and `remove`.
EVENTS = (
    "create", "start", "restart", "kill", "stop", "die", "oom", "pause", "unpause", "rename",
    "destroy", "health_status", "died", "remove",
)  # fmt: skip
PODMAN = "Podman Engine"  # its name among the components of its version


class EngineAway(Exception):
    """The engine did not answer, or not as one does; the text says what it said."""


class NoSuch(EngineAway):
    """The engine has nothing at that path."""


class Engine:
    """One thread's way to the engine. Two threads need two.

    Not through Docker's client, which takes eight megabytes on every host for these four questions.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.kind: Literal["docker", "podman"] = "docker"  # known once it has answered
        self._version = ""  # "/v1.41"; "" until it was asked, and after it was away

    def containers(self) -> list[dict[str, Any]]:
        """[{"Id", "Labels", "State", "Status", …}] of all containers, stopped ones too."""
        held: list[dict[str, Any]] = self._get("/containers/json", {"all": "1"}, list)
        return held

    def container(self, full_id: str) -> dict[str, Any] | None:
        """What the engine knows of it; None when there is no such container (any more).

        It holds the container's environment, so take what is needed and let the rest go.
        """
        try:
            held: dict[str, Any] = self._get(f"/containers/{full_id}/json", {}, dict)
        except NoSuch:
            return None
        return held

    def events(self, stop: Stop) -> Iterator[dict[str, Any] | None]:
        """None once subscribed, then each event of a container, until the engine ends it or `stop`."""
        filters = {"type": ["container"], "event": list(EVENTS)}
        with self._asked(f"{self._base()}/events", {"filters": json.dumps(filters)}) as asked:
            held, answer = asked
            held.settimeout(None)
            # Who waits for the next event cannot look at `stop` itself.
            with stop.waking(lambda: _end(held)):
                if stop.is_set():
                    return
                yield None
                yield from self._lines(answer)

    def close(self) -> None:
        """Ask anew which engine it is before the next question."""
        self._version = ""

    # ── asking ────────────────────────────────────────────────────────────────────────────────

    def _base(self) -> str:
        """ "/v1.41": the engine's own version of the API, or the newest that we know."""
        if not self._version:
            said = self._read("/version", {}, dict)
            names = [one.get("Name") for one in said.get("Components") or ()]
            self.kind = "podman" if PODMAN in names else "docker"
            try:
                major, minor = map(int, str(said["ApiVersion"]).split("."))
            except (KeyError, ValueError) as error:
                raise EngineAway(f"What answers at {self.address} is no engine.") from error
            chosen = min((major, minor), NEWEST_API)
            self._version = f"/v{chosen[0]}.{chosen[1]}"
        return self._version

    def _get(self, path: str, query: Mapping[str, str], kind: type) -> Any:
        """Raises NoSuch, EngineAway."""
        try:
            return self._read(f"{self._base()}{path}", query, kind)
        except NoSuch:
            raise
        except EngineAway:
            self.close()  # what comes back may be another engine
            raise

    def _read(self, path: str, query: Mapping[str, str], kind: type) -> Any:
        with self._asked(path, query) as (_, answer):
            held = json.loads(answer.read())
        if not isinstance(held, kind):
            raise EngineAway(f"The engine at {self.address} does not answer {path} as one does.")
        return held

    @contextlib.contextmanager
    def _asked(
        self, path: str, query: Mapping[str, str]
    ) -> Iterator[tuple[socket.socket, HTTPResponse]]:
        """A connection of its own and the answer on it, whose status is good. Raises NoSuch, EngineAway."""
        connection = HTTPConnection("localhost", timeout=TIMEOUT_S)
        try:
            held = connection.sock = _connect(self.address)
            target = f"{path}?{urlencode(query)}" if query else path
            connection.request("GET", target, headers={"Connection": "close"})
            answer = connection.getresponse()
            if answer.status != 200:
                self._refuse(path, answer)
            yield held, answer
        except (OSError, HTTPException, ValueError) as error:
            raise EngineAway(f"The engine at {self.address} does not answer: {error}") from error
        finally:
            connection.close()

    def _refuse(self, path: str, answer: HTTPResponse) -> None:
        said = answer.read(4000).decode(errors="replace").strip()
        text = f"The engine at {self.address} does not answer: {answer.status} to {path}: {said}"
        raise NoSuch(text) if answer.status == 404 else EngineAway(text)

    def _lines(self, answer: HTTPResponse) -> Iterator[dict[str, Any]]:
        while line := answer.readline(MAX_EVENT_BYTES):
            held = json.loads(line) if line.strip() else None
            if isinstance(held, dict):
                yield held


def _connect(address: str) -> socket.socket:
    """Raises OSError, and ValueError for an address that we cannot use."""
    parts = urlsplit(address)
    if parts.scheme == "unix":
        held = socket.socket(socket.AF_UNIX)
        held.settimeout(TIMEOUT_S)
        try:
            held.connect(address.removeprefix("unix://"))
        except BaseException:
            held.close()
            raise
        return held
    if parts.scheme in ("tcp", "http") and parts.hostname:
        return socket.create_connection((parts.hostname, parts.port or 2375), TIMEOUT_S)
    raise ValueError(
        "DOCKER_HOST is no address that the agent asks; write unix:///path or tcp://host:port"
    )


def _end(held: socket.socket) -> None:
    """Wake whoever reads from it, from another thread; one that has ended already is fine."""
    with contextlib.suppress(OSError):
        held.shutdown(socket.SHUT_RDWR)
