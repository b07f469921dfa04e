"""The `confhub` command: its container side."""

import sys

import click

from watchers import lean as lean  # before all others, which is why it is a module
from watchers import options
from watchers.agent_cli import agent
from watchers.commands.run import run

# Python lets a busy thread keep the interpreter for 5 ms while another waits; a release passes
# through three threads here, and the signal shall not wait for any of them.
SWITCH_S = 0.0005


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(options.AGENT.partition("/")[2], prog_name="confhub")
def main() -> None:
    """Live configuration for services in containers.

    Settings come from the environment: ETCD_ENDPOINTS, ETCD_PREFIX, CONFHUB_HOST,
    CONFHUB_STATE_DIR, CONFHUB_AGENT_HEALTH, DOCKER_HOST, LOG_LEVEL, LOG_JSON.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
    """
    sys.setswitchinterval(SWITCH_S)


main.add_command(agent)
main.add_command(run)


if __name__ == "__main__":
    main()
