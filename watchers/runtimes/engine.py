"""An engine's API, asked with GET and nothing else: a proxy may refuse every other method.

https://docs.docker.com/reference/api/engine/version/v1.41/ (podman answers the same paths)
"""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import docker
import requests
import urllib3
from docker.constants import DEFAULT_DOCKER_API_VERSION as NEWEST_API
from docker.errors import DockerException, NotFound
from docker.types.daemon import CancellableStream
from docker.utils import version_lt

TIMEOUT_S = 10
OLDEST_API = "1.24"  # only names the path of the question which version it is
# Those after which a container may be another one than before; not the many of health probes.
EVENTS = (
    "create", "start", "restart", "kill", "stop", "die", "oom", "pause", "unpause", "rename",
    "destroy", "health_status",
)  # fmt: skip


class EngineAway(Exception):
    """The engine did not answer, or not as one does; the text says what it said."""


class Engine:
    """One thread's connection to the engine. Two threads need two."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client: docker.APIClient | None = None

    def containers(self) -> list[dict[str, Any]]:
        """[{"Id", "Labels", "State", "Status", …}] of all containers, stopped ones too."""
        return list(self._ask(lambda client: client.containers(all=True)))

    def container(self, full_id: str) -> dict[str, Any] | None:
        """What the engine knows of it; None when there is no such container (any more).

        It holds the container's environment, so take what is needed and let the rest go.
        """
        try:
            held: dict[str, Any] = self._ask(lambda client: client.inspect_container(full_id))
        except NotFound:
            return None
        return held

    def events(self, stop: threading.Event) -> Iterator[dict[str, Any] | None]:
        """None once subscribed, then each event of a container, until the engine ends it or `stop`."""
        stream: CancellableStream[dict[str, Any]] = self._ask(
            lambda client: client.events(
                decode=True, filters={"type": "container", "event": list(EVENTS)}
            )
        )
        # A stream that says nothing cannot look at `stop` itself.
        ended = threading.Event()
        closer = threading.Thread(
            target=_close_when, args=(stream, stop, ended), name="engine-events-closer", daemon=True
        )
        closer.start()
        try:
            yield None
            yield from stream
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
            ValueError,
        ) as error:
            raise EngineAway(f"The engine at {self.address} ended its events: {error}") from error
        finally:
            ended.set()
            closer.join()

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def _connect(self) -> docker.APIClient:
        """A client that speaks the engine's own version of the API, or the newest that both know."""
        if self.address.startswith("unix://"):
            # The client leaks a socket for each time that it knocks where nobody is.
            with socket.socket(socket.AF_UNIX) as knock:
                knock.settimeout(TIMEOUT_S)
                knock.connect(self.address.removeprefix("unix://"))
        with docker.APIClient(
            base_url=self.address, version=OLDEST_API, timeout=TIMEOUT_S
        ) as asked:
            spoken = str(asked.version(api_version=False)["ApiVersion"])
        chosen = spoken if version_lt(spoken, NEWEST_API) else NEWEST_API
        return docker.APIClient(base_url=self.address, version=chosen, timeout=TIMEOUT_S)

    def _ask(self, question: Any) -> Any:
        """Raises NotFound, EngineAway."""
        try:
            if self._client is None:
                self._client = self._connect()
            return question(self._client)
        except NotFound:
            raise
        except (DockerException, requests.RequestException, OSError, ValueError, KeyError) as error:
            self.close()
            raise EngineAway(f"The engine at {self.address} does not answer: {error}") from error


def _close_when(
    stream: "CancellableStream[Any]", stop: threading.Event, ended: threading.Event
) -> None:
    while not stop.wait(0.2):
        if ended.is_set():
            break
    stream.close()
