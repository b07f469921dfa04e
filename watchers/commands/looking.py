"""What the asking commands read: the engine's containers and etcd's scopes, once."""

from dataclasses import dataclass
from typing import NoReturn

from watchers.commands.common import refuse
from watchers.etcd import Etcd, EtcdError
from watchers.follow.scopes import Follower, View
from watchers.health import Pulse
from watchers.options import Options
from watchers.runtimes.base import Workload
from watchers.runtimes.docker import DockerRuntime
from watchers.runtimes.engine import EngineAway
from watchers.wire.documents import BadDocument, ReleaseDocument
from watchers.wire.status import Status

NO_LABELS = (
    "has neither confhub.service nor confhub.environment, so the agent never touches it. Label it "
    "and create it anew."
)


@dataclass(frozen=True)
class Look:
    """One look at one host."""

    told: Options
    etcd: Etcd
    runtime: DockerRuntime
    workloads: list[Workload]

    def view(self, workload: Workload) -> View | str:
        """What etcd says of the workload's scope, or why it says nothing."""
        scope = (workload.service, workload.environment)
        follower = Follower(
            self.etcd, self.told.keyspace, scope=scope, seen=lambda _: None, pulse=Pulse()
        )
        try:
            return follower.read_once()
        except EtcdError as error:
            return str(error)

    def document(self, workload: Workload, release: int) -> ReleaseDocument | None:
        """A release's document; None where it is not there (any more) or cannot be read."""
        keys = self.told.keyspace.scope(workload.service, workload.environment)
        try:
            held, _ = self.etcd.get(keys.release(release))
            return ReleaseDocument.from_bytes(held.value) if held else None
        except (EtcdError, BadDocument):
            return None

    def status(self, workload: Workload) -> Status | None:
        """What its agent says of it in etcd; None where none does or etcd is not heard."""
        keys = self.told.keyspace.scope(workload.service, workload.environment)
        try:
            held, _ = self.etcd.get(keys.instance(workload.id))
            return Status.from_bytes(held.value) if held else None
        except (EtcdError, BadDocument):
            return None

    def close(self) -> None:
        self.runtime.close()
        self.etcd.close()


def look(told: Options, etcd: Etcd) -> Look:
    """Ends the command with a sentence where the engine does not answer."""
    runtime = DockerRuntime(told.docker_host, id_prefix=told.id_prefix)
    try:
        return Look(told, etcd, runtime, runtime.look_once())
    except EngineAway as error:
        refuse(
            f"{error}. Set DOCKER_HOST to the engine's socket, and run as a user who may use it."
        )


def named(look: Look, word: str) -> Workload | None:
    """The labelled container with this name or the beginning of this id; None where there is none."""
    for workload in look.workloads:
        if word == workload.container.get("name"):
            return workload
    bare = word.removeprefix(look.told.id_prefix)[:12]
    found = [
        one for one in look.workloads if one.id.removeprefix(look.told.id_prefix).startswith(bare)
    ]
    return found[0] if len(found) == 1 and len(bare) >= 3 else None


def refuse_unknown(look: Look, word: str) -> NoReturn:
    """End the command, saying whether the engine knows a container of that name at all."""
    if look.runtime.labels_of(word) is not None:
        refuse(f"{word} {NO_LABELS}")
    names = ", ".join(sorted(str(one.container.get("name")) for one in look.workloads)) or "none"
    refuse(f"the engine has no container {word}; labelled ones: {names}.")
