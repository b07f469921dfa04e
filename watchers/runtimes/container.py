"""The surroundings of one container: entered from here where that may be, else as the engine tells.

Why we enter by ourselves: docs/decisions/0012-entering-a-container.md.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from watchers import processes
from watchers.inside import OUTPUT_BYTES, TIMEOUT_S, CannotRun, Inhabitant, Outcome
from watchers.processes import ProcessId
from watchers.runtimes import commands, ending, files, inhabitants, network
from watchers.runtimes.engine import EngineAway
from watchers.runtimes.entering import kernel
from watchers.runtimes.mounts import Mount

if TYPE_CHECKING:
    from watchers.runtimes.acting import Acting

log = structlog.get_logger("watchers.container")
LOG_LINES = 50
# To enter: namespaces and control groups, its files and environment, its root, its user and groups,
# its bounding set, and to end what was begun there.
NEEDED = {
    "CAP_SYS_ADMIN": 21, "CAP_SYS_PTRACE": 19, "CAP_SYS_CHROOT": 18, "CAP_SETUID": 7,
    "CAP_SETGID": 6, "CAP_SETPCAP": 8, "CAP_DAC_OVERRIDE": 1, "CAP_KILL": 5,
}  # fmt: skip


@dataclass(frozen=True)
class Detail:
    """What was seen of a container beside what the agent shows of it. No secrets are kept here."""

    full_id: str
    name: str
    mounts: tuple[Mount, ...]
    first: ProcessId | None
    stop_signal: str = ""  # as its image or its creator wrote it: "SIGQUIT", "3"; "" = none
    stop_timeout_s: float = ending.STOP_S
    policy: str = ""  # "always", "unless-stopped", "on-failure", "no"
    addresses: tuple[str, ...] = field(default=())
    host_network: bool = False


def detail_of(
    full_id: str,
    name: str,
    held: Mapping[str, Any],
    mounts: tuple[Mount, ...],
    first: ProcessId | None,
) -> Detail:
    """`held` as the engine's inspect answers."""
    config, host = held.get("Config") or {}, held.get("HostConfig") or {}
    settings = held.get("NetworkSettings") or {}
    networks = (settings.get("Networks") or {}).values()
    stop_timeout_s = config.get("StopTimeout")
    found = [str(one.get("IPAddress") or "") for one in (settings, *networks)]
    return Detail(
        full_id=full_id,
        name=name,
        mounts=mounts,
        first=first,
        stop_signal=str(config.get("StopSignal") or ""),
        stop_timeout_s=ending.STOP_S if stop_timeout_s is None else float(stop_timeout_s),
        policy=str((host.get("RestartPolicy") or {}).get("Name") or ""),
        addresses=tuple(dict.fromkeys(one for one in found if one)),
        host_network=host.get("NetworkMode") == "host",
    )


class ContainerInside:
    """One container of the engine at `address`, as it was last seen."""

    def __init__(
        self, address: str, detail: Detail, directory: str, allows: frozenset[str]
    ) -> None:
        """`directory` is where its files are delivered; `allows` what the engine may be asked to do."""
        self._address, self._detail = address, detail
        self._directory, self._allows = directory, allows

    @property
    def shows_generations(self) -> bool:
        return not missing_rights()

    # ── commands ──────────────────────────────────────────────────────────────────────────────

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float = TIMEOUT_S,
        stdin: bytes = b"",
        shows: str = "",
    ) -> Outcome:
        first = self._alive()
        missing = missing_rights()
        if not missing:
            return commands.run(
                argv, timeout_s=timeout_s, stdin=stdin, environment=self._environment(),
                pid=first.pid, start_ticks=first.start_ticks, directory=self._directory,
                shows=shows,
            )  # fmt: skip
        if "exec" in self._allows:
            with self._engine() as engine:
                return engine.execute(self._detail.full_id, argv, timeout_s=timeout_s, stdin=stdin)
        raise CannotRun(
            f"{argv[0]} cannot be run in {self._detail.name}, because this agent runs as user "
            f"{os.geteuid()} and lacks {', '.join(missing)}. Run it as root on the engine's machine "
            "(in a container: with pid: host and these capabilities), or let the engine run it: "
            "CONFHUB_ENGINE_ALLOWS=exec."
        )

    def _alive(self) -> ProcessId:
        first = self._detail.first
        if first is None or processes.identify(first.pid) != first:
            raise CannotRun(f"{self._detail.name} does not run, so nothing can be run in it.")
        return first

    def _environment(self) -> dict[str, str]:
        """What the container was given. A program may have written its title over what it has now."""
        with contextlib.suppress(EngineAway, CannotRun), self._engine() as engine:
            held = engine.container(self._detail.full_id) or {}
            pairs = (one.partition("=") for one in (held.get("Config") or {}).get("Env") or ())
            return {name: value for name, _, value in pairs}
        return {}

    # ── what there is ─────────────────────────────────────────────────────────────────────────

    def processes(self) -> list[Inhabitant]:
        return inhabitants.all_of(self._detail.full_id) if self._detail.first is not None else []

    def read(self, path: str, *, max_bytes: int = 1024 * 1024) -> bytes:
        try:
            with self._root() as root:
                return files.read(root, path, max_bytes)
        except (PermissionError, ProcessLookupError) as error:
            return self._by_engine(
                lambda engine: engine.content(self._detail.full_id, path, max_bytes), error
            )

    @contextlib.contextmanager
    def _root(self) -> Iterator[int]:
        """Its root directory, which the kernel lends to whoever may trace its process."""
        first = self._detail.first
        if first is None:
            raise ProcessLookupError(f"{self._detail.name} does not run")
        try:
            root = os.open(f"/proc/{first.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError as error:  # nobody shall take it for the file that was asked for
            raise ProcessLookupError(f"process {first.pid} has ended") from error
        try:
            if processes.identify(first.pid) != first:
                raise ProcessLookupError(f"process {first.pid} of {self._detail.name} has ended")
            yield root
        finally:
            os.close(root)

    def connect(self, port: int, *, timeout_s: float) -> socket.socket:
        detail = self._detail
        if detail.host_network:
            return network.connect(network.LOOPBACK, port, timeout_s)
        if detail.first is not None and "CAP_SYS_ADMIN" not in missing_rights():
            return network.connect_within(detail.first, detail.addresses, port, timeout_s)
        if not detail.addresses:
            raise OSError(
                f"port {port} of {detail.name} cannot be reached: it has no address of its own here, "
                "and its loopback is open only to an agent that runs as root (CAP_SYS_ADMIN)"
            )
        return network.connect(detail.addresses, port, timeout_s)

    def connect_unix(self, path: str, *, timeout_s: float) -> socket.socket:
        try:
            with self._root() as root:
                return files.connect(root, path, timeout_s)
        except PermissionError as error:
            raise OSError(
                f"{path} of {self._detail.name} cannot be reached by user {os.geteuid()}: "
                f"{error.strerror}. Run the agent as root (CAP_SYS_PTRACE and CAP_DAC_OVERRIDE)."
            ) from error

    def said_since(self, moment_s: float) -> str:
        try:
            with self._engine() as engine:
                said = engine.logs(self._detail.full_id, moment_s, LOG_LINES)
        except (EngineAway, CannotRun):
            return ""  # a proxy may refuse it, and a logging driver may keep nothing
        return said[-OUTPUT_BYTES:].decode(errors="replace")

    def health(self) -> str:
        try:
            with self._engine() as engine:
                held = engine.container(self._detail.full_id) or {}
        except EngineAway:
            return ""
        return health_of(held.get("State") or {})

    # ── ending it ─────────────────────────────────────────────────────────────────────────────

    def no_restart(self) -> str:
        why_not = ending.why_not(self._detail.first, self._detail.policy)
        if not why_not or "restart" in self._allows:
            return ""
        return (
            f"{self._detail.name} cannot be restarted from here: {why_not} Or let the engine do it: "
            "CONFHUB_ENGINE_ALLOWS=restart."
        )

    def restart(self) -> None:
        detail = self._detail
        if not ending.why_not(detail.first, detail.policy):
            return ending.end(self._alive(), detail.stop_signal, detail.stop_timeout_s)
        if "restart" not in self._allows:
            raise CannotRun(self.no_restart())
        with self._engine() as engine:
            engine.restart(detail.full_id, detail.stop_timeout_s)
        return None

    def engine_kill(self, number: int) -> None:
        detail = self._detail
        if "kill" not in self._allows:
            raise CannotRun(
                f"The engine is not asked to signal {detail.name}: CONFHUB_ENGINE_ALLOWS does not "
                "name kill. Better run the agent as root, so that it can signal by itself."
            )
        if objection := ending.poisons(number, detail.stop_signal, detail.policy):
            raise CannotRun(f"The engine is not asked to signal {detail.name}: {objection}")
        with self._engine() as engine:
            engine.kill(detail.full_id, number)

    # ── the engine ────────────────────────────────────────────────────────────────────────────

    @contextlib.contextmanager
    def _engine(self) -> "Iterator[Acting]":
        # Here, because Docker's client is large and few containers need it.
        from watchers.runtimes.acting import Acting

        engine = Acting(self._address)
        try:
            yield engine
        finally:
            engine.close()

    def _by_engine(self, question: "Callable[[Acting], bytes]", because: OSError) -> bytes:
        try:
            with self._engine() as engine:
                return question(engine)
        except EngineAway as error:
            raise OSError(
                f"neither from here ({because.strerror or because}) nor through the engine ({error})"
            ) from error


def missing_rights() -> list[str]:
    """The capabilities that entering a container takes and this process has not."""
    held = kernel.permitted_capabilities()
    return [name for name, number in NEEDED.items() if not held >> number & 1]


def health_of(state: Mapping[str, Any]) -> str:
    """The engine's own check as an inspect's State has it; "" where the container declares none."""
    word = str((state.get("Health") or {}).get("Status", ""))
    return word if word in ("healthy", "unhealthy", "starting") else ""
