"""The programs of one instance, as the agent's one workload."""

import threading
from dataclasses import replace
from pathlib import Path

from confhub.client.clients import Clients, ClientsProof, TellClients
from watchers import moments
from watchers.inside import Inside
from watchers.labels import Wishes
from watchers.processes import ProcessId
from watchers.render.files import Files
from watchers.runtimes.base import Beat, CannotReach, Report, Workload
from watchers.runtimes.here import Here
from watchers.swap import folders
from watchers.swap.disk import GENERATION, Directory
from watchers.wire.status import Status

LOOK_S = 30.0


class ClientsRuntime:
    """The follower itself stands for the programs: it is there as long as any of them is, while they
    come and go."""

    name = "process"

    def __init__(
        self, identity: tuple[str, str, str], directory: Path, clients: Clients, *, soak_s: float
    ) -> None:
        """`identity`: (the instance's id, its service, its environment)."""
        self._path, self._clients = directory.resolve(), clients
        self._news = threading.Condition()
        self._again = True
        self._status: Status | None = None
        instance, service, environment = identity
        self._workload = Workload(
            id=instance, service=service, environment=environment, runtime="process",
            wishes=Wishes(
                files=Files(("json",)), ladder=(TellClients(clients),), proof=ClientsProof(clients),
                soak_s=soak_s, directory=str(self._path),
            ),
            state="stopped",
        )  # fmt: skip

    # ── told by the follower ──────────────────────────────────────────────────────────────────

    def started(self, process: ProcessId | None) -> None:
        """Programs read from now on, and begin with what the directory shows already."""
        started_at = moments.stamp()
        self._change(
            replace(
                self._workload,
                state="running",
                process=process,
                started_with=self._shown(),
                container={**self._workload.container, "started_at": started_at},
                began_at=moments.parse(started_at),
            )
        )

    def look_at_clients(self) -> None:
        """Programs came, went, or said something."""
        found, refusals = self._clients.now(), self._clients.refusals()
        name = min((one.program for one in found), default="")
        container = {
            **self._workload.container, **({"name": name} if name else {}), "processes": len(found),
        }  # fmt: skip
        self._change(
            replace(
                self._workload,
                container=container,
                problems=refusals,
                health="unhealthy" if refusals else "",
            )
        )

    def latest(self) -> Status | None:
        """What the agent last said of the instance."""
        with self._news:
            return self._status

    def _change(self, workload: Workload) -> None:
        with self._news:
            if workload != self._workload:
                self._workload, self._again = workload, True
                self._news.notify_all()

    def _shown(self) -> str:
        """The generation that readers find now; "" where there is none."""
        try:
            link = (self._path / "current").readlink().name
        except OSError:
            return ""
        return link if GENERATION.fullmatch(link) else ""

    # ── asked by the agent ────────────────────────────────────────────────────────────────────

    def run(self, stop: threading.Event, report: Report, beat: Beat) -> None:
        while not stop.is_set():
            beat()
            with self._news:
                self._news.wait_for(lambda: self._again or stop.is_set(), LOOK_S)
                workload, self._again = self._workload, False
            report([workload])

    def look_again(self) -> None:
        with self._news:
            self._again = True
            self._news.notify_all()

    def directory(self, workload: Workload) -> Directory:
        try:
            descriptor = folders.open_directory(str(self._path), make=True)
        except OSError as error:
            raise CannotReach(
                f"{self._path} cannot be opened: {error.strerror}. Choose another CONFHUB_STATE_DIR."
            ) from error
        return Directory(descriptor, str(self._path))

    def inside(self, workload: Workload) -> Inside:
        return Here(workload.process, {})

    def told(self, status: Status) -> None:
        with self._news:
            self._status = status
            self._news.notify_all()
