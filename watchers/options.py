"""Every setting of the container side, read once from the environment (docs/container-side.md)."""

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from watchers.credentials import Credentials
from watchers.unsealing import Secrets
from watchers.wire.keyspace import Keyspace
from watchers.wire.sealing import BadKey, Keyring

AGENT = f"confhub/{version('confhub')}"
DOCKER = Path("/var/run/docker.sock")
ENGINE_ACTS = ("exec", "archive", "restart", "kill")
NOT_FOR_CHILDREN = ("CONFHUB_SECRETS_KEY", "CONFHUB_SECRETS_KEY_FILE")
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
    # What the engine may be asked to do beside telling us of its containers; see ENGINE_ACTS.
    engine_allows: frozenset[str] = frozenset()
    credentials: Credentials = field(default_factory=Credentials)
    secrets: Secrets = field(default_factory=Secrets)
    id_prefix: str = ""  # "node-7.": before each instance's id, so that etcd can tell hosts apart

    def instance_id(self, service: str, environment: str, given: str | None = None) -> str:
        """Of a process that is no container; `given` is what somebody wants it called."""
        if self.id_prefix:
            return f"{self.id_prefix}{given or f'{service}-{environment}'}"
        return given or f"{self.host}-{service}-{environment}"


def from_environment(environment: Mapping[str, str] = os.environ) -> Options:
    """Raises BadOption naming the first variable that cannot be used."""
    endpoints = tuple(
        word.strip()
        for word in environment.get("ETCD_ENDPOINTS", "127.0.0.1:2379").split(",")
        if word.strip()
    )
    if not endpoints:
        raise BadOption("ETCD_ENDPOINTS is empty: write host:port, several with commas.")
    host = environment.get("CONFHUB_HOST") or socket.gethostname()
    return Options(
        endpoints=endpoints,
        keyspace=_keyspace(environment.get("ETCD_PREFIX") or "/confhub/v1"),
        host=host,
        state_dir=_state_dir(environment),
        docker_host=environment.get("DOCKER_HOST") or _engine(environment),
        log_level=_level(environment.get("LOG_LEVEL") or "INFO"),
        log_json=_truth("LOG_JSON", environment.get("LOG_JSON") or "false"),
        health=_address(environment.get("CONFHUB_AGENT_HEALTH") or ""),
        engine_allows=_acts(environment.get("CONFHUB_ENGINE_ALLOWS") or ""),
        credentials=credentials_from(environment),
        secrets=secrets_from(environment),
        id_prefix=_id_prefix(environment, host),
    )


def secrets_from(environment: Mapping[str, str] = os.environ) -> Secrets:
    """CONFHUB_SECRETS_KEY, CONFHUB_SECRETS_KEY_FILE, CONFHUB_SECRETS_ON_DISK. Raises BadOption."""
    told = environment.get("CONFHUB_SECRETS_KEY") or ""
    kept = environment.get("CONFHUB_SECRETS_KEY_FILE") or ""
    if told and kept:
        raise BadOption("CONFHUB_SECRETS_KEY and CONFHUB_SECRETS_KEY_FILE are both set: keep one.")
    name = "CONFHUB_SECRETS_KEY_FILE" if kept else "CONFHUB_SECRETS_KEY"
    try:
        if kept:
            told = _readable(name, kept).read_text(encoding="utf-8")
        keyring = Keyring.from_text(told)
    except (BadKey, UnicodeDecodeError) as error:
        said = error if isinstance(error, BadKey) else "it is no text."
        raise BadOption(f"{name}: {said}") from None  # its cause could quote a key
    on_disk = environment.get("CONFHUB_SECRETS_ON_DISK") or "false"
    return Secrets(keyring, _truth("CONFHUB_SECRETS_ON_DISK", on_disk))


def credentials_from(environment: Mapping[str, str] = os.environ) -> Credentials:
    """ETCD_USER, ETCD_PASSWORD or ETCD_PASSWORD_FILE, ETCD_CA, ETCD_CERT, ETCD_KEY. Raises BadOption."""
    user, password = environment.get("ETCD_USER") or None, environment.get("ETCD_PASSWORD") or None
    if kept := environment.get("ETCD_PASSWORD_FILE"):
        if password is not None:
            raise BadOption("ETCD_PASSWORD and ETCD_PASSWORD_FILE are both set: keep one.")
        password = _readable("ETCD_PASSWORD_FILE", kept).read_text(encoding="utf-8").rstrip("\r\n")
    if (user is None) != (password is None):
        raise BadOption("ETCD_USER and ETCD_PASSWORD (or ETCD_PASSWORD_FILE) are needed together.")
    ca = _file("ETCD_CA", environment.get("ETCD_CA"))
    certificate = _file("ETCD_CERT", environment.get("ETCD_CERT"))
    key = _file("ETCD_KEY", environment.get("ETCD_KEY"))
    if (certificate is None) != (key is None):
        raise BadOption("ETCD_CERT and ETCD_KEY are needed together.")
    return Credentials(user, password, ca, certificate, key)


def _file(name: str, told: str | None) -> Path | None:
    return _readable(name, told) if told else None


def _readable(name: str, told: str) -> Path:
    """The file at `told`. Raises BadOption naming `name` where it cannot be read."""
    try:
        with Path(told).open("rb"):
            return Path(told).absolute()
    except OSError as error:
        raise BadOption(f"{name}={told}: {error.strerror}.") from error


def _id_prefix(environment: Mapping[str, str], host: str) -> str:
    if not _truth("CONFHUB_INSTANCE_PREFIX", environment.get("CONFHUB_INSTANCE_PREFIX") or "false"):
        return ""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", host):
        raise BadOption(
            f"CONFHUB_HOST={host!r} cannot begin an instance's id, which CONFHUB_INSTANCE_PREFIX asks "
            "for: write up to 63 letters, digits, '_', '.' or '-'."
        )
    return f"{host}."


def child_environment(ours: Mapping[str, str], *, keys: bool = False) -> dict[str, str]:
    """The environment of a process that we start: this one's, `ours` over it.

    Without the keys to secrets, unless it is one of our own that opens them (`keys`).
    """
    hidden = () if keys else NOT_FOR_CHILDREN
    theirs = {name: text for name, text in os.environ.items() if name not in hidden}
    return {**theirs, **ours}


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


def _engine(environment: Mapping[str, str]) -> str:
    """Docker's usual socket, or podman's where only that one is there: root's, or this user's own."""
    sockets = [DOCKER, Path("/run/podman/podman.sock")]
    if own := environment.get("XDG_RUNTIME_DIR"):
        sockets.append(Path(own) / "podman" / "podman.sock")
    return f"unix://{next((path for path in sockets if path.exists()), DOCKER)}"


def _level(word: str) -> str:
    if word.upper() not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise BadOption(f"LOG_LEVEL={word!r}: write DEBUG, INFO, WARNING or ERROR")
    return word.upper()


def _truth(name: str, word: str) -> bool:
    if word.lower() not in _TRUTH:
        raise BadOption(f"{name}={word!r}: write true or false")
    return _TRUTH[word.lower()]


def _acts(text: str) -> frozenset[str]:
    """`exec,restart` lets the engine be asked for these two; "" is GET alone."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in ENGINE_ACTS:
            raise BadOption(
                f"CONFHUB_ENGINE_ALLOWS={text!r}: {word!r} is none of {', '.join(ENGINE_ACTS)}; "
                "write those that the engine may be asked for, with commas."
            )
    return frozenset(words)


def _address(word: str) -> tuple[str, int] | None:
    """`9104` listens on loopback; another machine that shall ask needs `0.0.0.0:9104`."""
    if not word:
        return None
    found = re.fullmatch(r"(?:(?P<host>[^:]+):)?(?P<port>\d{1,5})", word)
    if found is None or int(found["port"]) > 65535:
        raise BadOption(f"CONFHUB_AGENT_HEALTH={word!r}: write a port, or host:port")
    return found["host"] or "127.0.0.1", int(found["port"])


def outer_notify_socket() -> str:
    """NOTIFY_SOCKET of this process itself: whoever started it waits for READY=1; "" = nobody."""
    return os.environ.get("NOTIFY_SOCKET", "")


def bare_environment() -> dict[str, str]:
    """For a program of ours that needs nothing of it but to find its libraries."""
    return {
        name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "LANG") if name in os.environ
    }


def delivered_directory() -> str:
    """CONFHUB_DIR: where a process that `confhub run` started finds its files."""
    return os.environ.get("CONFHUB_DIR", "/run/confhub")


@dataclass(frozen=True)
class ClientOptions:
    """What the environment says to a program that reads its configuration; "" = nothing."""

    directory: str  # where somebody delivers its files
    report: str  # the socket at which that somebody hears what was loaded
    service: str
    environment: str
    instance: str


def for_client(environment: Mapping[str, str] = os.environ) -> ClientOptions:
    return ClientOptions(
        directory=environment.get("CONFHUB_DIR", ""),
        report=environment.get("CONFHUB_REPORT", ""),
        service=environment.get("CONFHUB_SERVICE", ""),
        environment=environment.get("CONFHUB_ENVIRONMENT", ""),
        instance=environment.get("CONFHUB_INSTANCE", ""),
    )
