"""Host duty: the agent's loop inside a Celery worker that consumes its host's queue only.

A host that should reach nothing but etcd runs the same loop as `confhub agent`.
"""

import threading
from dataclasses import dataclass, field, replace
from typing import ClassVar

import structlog
from django.conf import settings
from django.db import DatabaseError, close_old_connections

from confhub.core.errors import ConfHubError
from confhub.releases.keyring import key_named
from watchers import options
from watchers.agent import Agent
from watchers.etcd import Etcd
from watchers.runtimes import docker
from watchers.wire.sealing import Keyring, SealingKey

log = structlog.get_logger("fleet.hostduty")
_serving: list[Agent] = []


@dataclass(frozen=True)
class DatabaseKeys(Keyring):
    """The keys that the environment gives, and behind them those of this database.

    A key that was read once is kept, so that a database that is away stops no secret that ran here.
    """

    _read: dict[tuple[str, str, str], SealingKey] = field(default_factory=dict, repr=False)

    def find(self, service: str, environment: str, kid: str) -> SealingKey | None:
        name = (service, environment, kid)
        found = super().find(service, environment, kid) or self._read.get(name)
        if found is None and (found := self._from_database(*name)) is not None:
            self._read[name] = found
        return found

    def _from_database(self, service: str, environment: str, kid: str) -> SealingKey | None:
        try:
            return key_named(kid, service, environment)
        except (DatabaseError, ConfHubError) as error:  # the agent says that no key is here
            log.warning("key.unreadable", kid=kid, error=type(error).__name__, why=str(error))
            return None
        finally:
            close_old_connections()  # of an instance's thread, which seldom comes here


class NoHostDuty(ConfHubError):
    """This worker serves no host."""

    code: ClassVar[str] = "host.no_duty"
    status: ClassVar[int] = 409


def serve(stop: threading.Event) -> None:
    """Serve this host's containers until `stop` is set."""
    held = options.from_environment()
    connection = Etcd(held.endpoints, credentials=held.credentials)
    secrets = replace(held.secrets, keyring=DatabaseKeys(held.secrets.keyring.keys))
    agent = Agent(
        connection, held.keyspace, docker.runtimes_from(held), held.state_dir, held.host,
        secrets=secrets,
    )  # fmt: skip
    _serving.append(agent)
    try:
        agent.run(stop)
    finally:
        _serving.remove(agent)
        connection.close()


def agent() -> Agent:
    """The agent that runs in this process. Raises NoHostDuty where none does."""
    if not _serving:
        raise NoHostDuty(
            "This worker serves no host. Start one with CONFHUB_HOST_DUTY=true for the queue "
            f"host.{settings.CONFHUB_HOST}."
        )
    return _serving[0]
