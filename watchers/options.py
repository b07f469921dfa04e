"""Every setting of the container side, read once from the environment (docs/container-side.md)."""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from watchers.wire.keyspace import Keyspace

AGENT = f"confhub/{version('confhub')}"
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


class BadOption(ValueError):
    """A variable that cannot be used; the text names it and what may stand there."""


@dataclass(frozen=True)
class Options:
    """What the environment says to `confhub agent` and `confhub run`."""

    endpoints: tuple[str, ...]  # ("127.0.0.1:2379", …)
    keyspace: Keyspace
    host: str
    state_dir: Path  # journals; `confhub run` keeps its files below it unless told otherwise
    docker_host: str  # "unix:///var/run/docker.sock", "tcp://127.0.0.1:2375"
    log_level: str
    log_json: bool
    health: tuple[str, int] | None  # where /healthz listens; None = nowhere


def from_environment(environment: Mapping[str, str] = os.environ) -> Options:
    """Raises BadOption naming the first variable that cannot be used."""
    endpoints = tuple(
        word.strip()
        for word in environment.get("ETCD_ENDPOINTS", "127.0.0.1:2379").split(",")
        if word.strip()
    )
    if not endpoints:
        raise BadOption("ETCD_ENDPOINTS is empty: write host:port, several with commas.")
    return Options(
        endpoints=endpoints,
        keyspace=_keyspace(environment.get("ETCD_PREFIX") or "/confhub/v1"),
        host=environment.get("CONFHUB_HOST") or socket.gethostname(),
        state_dir=_state_dir(environment),
        docker_host=environment.get("DOCKER_HOST") or "unix:///var/run/docker.sock",
        log_level=_level(environment.get("LOG_LEVEL") or "INFO"),
        log_json=_truth("LOG_JSON", environment.get("LOG_JSON") or "false"),
        health=_address(environment.get("CONFHUB_AGENT_HEALTH") or ""),
    )


def child_environment(ours: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that we start: this one's, with `ours` over it."""
    return {**os.environ, **ours}


def _keyspace(prefix: str) -> Keyspace:
    try:
        return Keyspace(prefix)
    except ValueError as error:
        raise BadOption(str(error)) from error


def _state_dir(environment: Mapping[str, str]) -> Path:
    told = environment.get("CONFHUB_STATE_DIR")
    if told:
        return Path(told).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/confhub")
    base = environment.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "confhub"


def _level(word: str) -> str:
    if word.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise BadOption(f"LOG_LEVEL={word!r}: write DEBUG, INFO, WARNING or ERROR")
    return word.upper()


def _truth(name: str, word: str) -> bool:
    if word.lower() not in _TRUTH:
        raise BadOption(f"{name}={word!r}: write true or false")
    return _TRUTH[word.lower()]


def _address(word: str) -> tuple[str, int] | None:
    """`9104` listens on loopback; another machine that shall ask needs `0.0.0.0:9104`."""
    if not word:
        return None
    found = re.fullmatch(r"(?:(?P<host>[^:]+):)?(?P<port>\d{1,5})", word)
    if found is None or int(found["port"]) > 65535:
        raise BadOption(f"CONFHUB_AGENT_HEALTH={word!r}: write a port, or host:port")
    return found["host"] or "127.0.0.1", int(found["port"])


def delivered_directory() -> str:
    """CONFHUB_DIR: where a process that `confhub run` started finds its files."""
    return os.environ.get("CONFHUB_DIR", "/run/confhub")
