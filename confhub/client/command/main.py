"""Every command by its name; none is imported before it is called."""

import sys
from importlib import import_module
from importlib.metadata import version
from typing import NamedTuple

import click

HERE = "confhub.client.command"
STOPPED = 130  # 128 and SIGINT, as shells count


class Entry(NamedTuple):
    """Where a command is, and what `confhub --help` says of it."""

    module: str
    name: str
    section: str
    words: str


CONFIGURATION, PUBLISHING = "Configuration", "Publishing"
CATALOG, SIGNING_IN, CONTAINERS = "What there is", "Sign in, shells", "Beside the workload"
ENTRIES = {
    "get": Entry(f"{HERE}.drafts", "get", CONFIGURATION, "The configuration, or values of keys."),
    "set": Entry(f"{HERE}.drafts", "set_keys", CONFIGURATION, "Set keys in the draft."),
    "unset": Entry(f"{HERE}.drafts", "unset_keys", CONFIGURATION, "Take keys out, in the draft."),
    "diff": Entry(f"{HERE}.differences", "diff", CONFIGURATION, "Draft, releases or a file compared."),
    "blame": Entry(f"{HERE}.histories", "blame", CONFIGURATION, "Who set each key, where, and why."),
    "import": Entry(f"{HERE}.transfers", "import_file", CONFIGURATION, "Read another tool's file into the draft."),
    "export": Entry(f"{HERE}.transfers", "export", CONFIGURATION, "Write files, or what apply reads."),
    "apply": Entry(f"{HERE}.applying", "apply", CONFIGURATION, "Bring files kept in git into ConfHub."),
    "publish": Entry(f"{HERE}.publishing", "publish", PUBLISHING, "Publish, and wait until it runs everywhere."),
    "rollback": Entry(f"{HERE}.publishing", "rollback", PUBLISHING, "Publish an older content again."),
    "status": Entry(f"{HERE}.states", "status", PUBLISHING, "How far a release got."),
    "watch": Entry(f"{HERE}.streams", "watch", PUBLISHING, "Each new release, as it comes."),
    "history": Entry(f"{HERE}.histories", "history", PUBLISHING, "The releases, the newest first."),
    "requests": Entry(f"{HERE}.requests", "requests", PUBLISHING, "Ask for approval, and give it."),
    "services": Entry(f"{HERE}.catalog", "services", CATALOG, "Services."),
    "env": Entry(f"{HERE}.catalog", "environments", CATALOG, "Environments."),
    "tokens": Entry(f"{HERE}.tokens", "tokens", CATALOG, "Tokens of programs."),
    "hooks": Entry(f"{HERE}.hooks", "hooks", CATALOG, "Deploy hooks and what came in."),
    "webhooks": Entry(f"{HERE}.webhooks", "webhooks", CATALOG, "Webhooks and what went out."),
    "api": Entry(f"{HERE}.calling", "api", CATALOG, "Any call of REST."),
    "login": Entry(f"{HERE}.signing_in", "login", SIGNING_IN, "Keep an address and a token."),
    "logout": Entry(f"{HERE}.signing_in", "logout", SIGNING_IN, "Forget the token."),
    "whoami": Entry(f"{HERE}.signing_in", "whoami", SIGNING_IN, "Who the token is, and what it may."),
    "completion": Entry(f"{HERE}.completing", "completion", SIGNING_IN, "A script that completes words."),
    "agent": Entry("watchers.cli", "agent", CONTAINERS, "Serve every labelled container of this host."),
    "run": Entry("watchers.cli", "run", CONTAINERS, "Run one command with its configuration."),
}  # fmt: skip
SECTIONS = (CONFIGURATION, PUBLISHING, CATALOG, SIGNING_IN, CONTAINERS)


class Commands(click.Group):
    """The commands of ENTRIES."""

    def list_commands(self, context: click.Context) -> list[str]:
        return [*ENTRIES]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        entry = ENTRIES.get(name)
        if entry is None:
            return None
        module = import_module(entry.module)
        if entry.section == CONTAINERS:
            sys.setswitchinterval(module.SWITCH_S)
        found = getattr(module, entry.name)
        assert isinstance(found, click.Command)  # noqa: S101  # a wrong line in ENTRIES
        return found

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        for section in SECTIONS:
            rows = [(name, each.words) for name, each in ENTRIES.items() if each.section == section]
            with formatter.section(section):
                formatter.write_dl(rows, col_max=14)

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in ENTRIES and not args[0].startswith("-"):
            raise click.NoSuchCommand(args[0], possibilities=[*ENTRIES], ctx=context)
        return super().resolve_command(context, args)

    def shell_complete(
        self, context: click.Context, incomplete: str
    ) -> "list[click.shell_completion.CompletionItem]":
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=each.words)
            for name, each in ENTRIES.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, context, incomplete)]


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("confhub"), prog_name="confhub")
def commands() -> None:
    """Live configuration for services in containers.

    PLACE is SERVICE@ENVIRONMENT (checkout@prod), or a layer: global, environment/prod, set/tls,
    service/checkout.

    Settings come from the environment: CONFHUB_URL, CONFHUB_TOKEN_FILE or CONFHUB_TOKEN (or what
    `confhub login` keeps), CONFHUB_PLACE.

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 timed out waiting, 130 stopped by Ctrl-C.
    """


def main() -> None:
    """The `confhub` program. Ends the process with the command's exit code."""
    try:
        code = commands.main(prog_name="confhub", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except click.Abort as error:
        was_closed = isinstance(error.__cause__, EOFError)
        click.echo("confhub: Stopped: there was nothing to read." if was_closed else "confhub: Stopped.", err=True)  # fmt: skip
        code = 1 if was_closed else STOPPED
    sys.exit(code if isinstance(code, int) else 0)
