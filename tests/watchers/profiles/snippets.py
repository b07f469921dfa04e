"""The examples of docs/operating/reload/*.md, so that what is documented is what is tested."""

import re
import shlex
from dataclasses import dataclass
from typing import Any

import yaml

from tests.watchers.served import ROOT

PAGES = ROOT / "docs" / "operating" / "reload"
TAKEN = {"image", "command", "entrypoint", "volumes", "labels", "environment", "user", "tmpfs",
         "restart", "init", "stop_signal"}  # fmt: skip


@dataclass(frozen=True)
class Snippet:
    """One service of a Compose file. Its image becomes the tests' own, without an entrypoint."""

    command: list[str]
    labels: dict[str, str]
    keys: dict[str, Any]

    def options(self) -> dict[str, Any]:
        """What Docker's client takes beside command and labels.

        The volume at `confhub.deliver` becomes a directory of the test (Host.start mounts it);
        every other named volume becomes an empty tmpfs.
        """
        deliver = self.labels.get("confhub.deliver", "volume:/run/confhub").partition(":")[2]
        targets = [str(volume).split(":")[1] for volume in self.keys.get("volumes", [])]
        assert deliver in targets, f"no volume at {deliver}: {targets}"
        tmpfs = {target: "" for target in targets if target != deliver}
        tmpfs |= {str(path): "" for path in self.keys.get("tmpfs", [])}
        options: dict[str, Any] = {
            name: self.keys[name]
            for name in ("environment", "user", "init", "stop_signal")
            if name in self.keys
        }
        if tmpfs:
            options["tmpfs"] = tmpfs
        if "restart" in self.keys:
            options["restart"] = self.keys["restart"]
        return {**options, "at": deliver}


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of `language` of docs/operating/reload/`page`.md, in their order."""
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def snippet(page: str, service: str = "", *, number: int = 0) -> Snippet:
    """The Compose service of the page's yaml block `number`; `service` where it has several."""
    services: dict[str, Any] = yaml.safe_load(blocks(page, "yaml")[number])["services"]
    keys = services[service] if service else next(iter(services.values()))
    unknown = set(keys) - TAKEN
    assert not unknown, f"{page}.md: this helper would leave out {unknown}"
    command = keys.get("entrypoint", []) or keys["command"]
    labels = {str(name): str(held) for name, held in keys["labels"].items()}
    return Snippet(shlex.split(command) if isinstance(command, str) else list(command), labels, keys)  # fmt: skip
