"""Host duty: the agent's loop inside a Celery worker that consumes its host's queue only.

A host that should reach nothing but etcd runs the same loop as `confhub agent`.
"""

import threading
from typing import ClassVar

from django.conf import settings

from confhub.core.errors import ConfHubError
from watchers import options
from watchers.agent import Agent
from watchers.etcd import Etcd
from watchers.runtimes import docker

_serving: list[Agent] = []


class NoHostDuty(ConfHubError):
    """This worker serves no host."""

    code: ClassVar[str] = "host.no_duty"
    status: ClassVar[int] = 409


def serve(stop: threading.Event) -> None:
    """Serve this host's containers until `stop` is set."""
    held = options.from_environment()
    connection = Etcd(held.endpoints, credentials=held.credentials)
    agent = Agent(connection, held.keyspace, docker.runtimes_from(held), held.state_dir, held.host)
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
