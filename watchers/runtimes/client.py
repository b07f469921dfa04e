"""The engine through Docker's own client: for what is asked of one container now and then.

It takes eight megabytes, so it is imported where it is used, and Engine looks at containers without it.
"""

import socket
from typing import Any

import docker
import requests
from docker.constants import DEFAULT_DOCKER_API_VERSION as NEWEST_API
from docker.errors import DockerException, NotFound
from docker.utils import version_lt

from watchers.runtimes.engine import TIMEOUT_S, Engine, EngineAway

OLDEST_API = "1.24"  # only names the path of the question which version it is


class ClientEngine:
    """One thread's client of the engine at `address`. Two threads need two."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client: docker.APIClient | None = None

    def container(self, full_id: str) -> dict[str, Any] | None:
        """As Engine.container. Raises EngineAway."""
        return Engine(self.address).container(full_id)

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
