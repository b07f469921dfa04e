"""Host duty: the agent's loop inside a Celery worker that consumes its host's queue only.

A host that should reach nothing but etcd runs the same loop as `confhub agent`.
"""

import threading

from django.conf import settings
from watchers.agent import Agent, agent_from

from confhub.core.errors import ConfHubError
from watchers import options

_serving: list[Agent] = []


class NoHostDuty(ConfHubError):
    """This worker serves no host."""

    code = "host.no_duty"
    status = 409


def serve(stop: threading.Event) -> None:
    """Serve this host's containers until `stop` is set."""
    agent = agent_from(options.from_environment())
    _serving.append(agent)
    try:
        agent.run(stop)
    finally:
        _serving.remove(agent)


def agent() -> Agent:
    """The agent that runs in this process. Raises NoHostDuty where none does."""
    if not _serving:
        raise NoHostDuty(
            f"This worker serves no host. Start one with CONFHUB_HOST_DUTY=true for the queue "
            f"host.{settings.CONFHUB_HOST}."
        )
    return _serving[0]
