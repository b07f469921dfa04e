"""A keyring of keyring's own kind, in a file: what a desktop's is for the package."""

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class Ring(KeyringBackend):
    priority = 5

    def get_password(self, service: str, username: str) -> str | None:
        return self._held().get(username)

    def set_password(self, service: str, username: str, password: str) -> None:
        assert service == "confhub"
        self._keep({**self._held(), username: password})

    def delete_password(self, service: str, username: str) -> None:
        held = self._held()
        if username not in held:
            raise PasswordDeleteError(username)
        self._keep({name: kept for name, kept in held.items() if name != username})

    @property
    def _path(self) -> Path:
        return Path(os.environ["RING_FILE"])

    def _held(self) -> dict[str, str]:
        return dict(json.loads(self._path.read_text())) if self._path.exists() else {}

    def _keep(self, held: dict[str, str]) -> None:
        self._path.write_text(json.dumps(held))
