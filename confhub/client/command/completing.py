"""`completion`, and the words that it completes: places and keys, asked of the server in a moment."""

import time
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from confhub.client.command import environment, keeping, places
from confhub.client.command.calls import Api
from confhub.client.command.common import address, token_of
from confhub.client.command.failures import Failure

SHELLS = ("bash", "zsh", "fish")
TIMEOUT_S = 1.5  # somebody has pressed Tab
VARIABLE = "_CONFHUB_COMPLETE"  # click's name for a program of this name


@click.command(name="completion")
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that completes commands, options and PLACE in SHELL.

    \b
    bash   source <(confhub completion bash)
    zsh    source <(confhub completion zsh)
    fish   confhub completion fish | source
    """
    from confhub.client.command.main import commands

    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101  # click has each of SHELLS
    script = kind(commands, {}, "confhub", VARIABLE).source()
    # Bash would take checkout@prod for three words.
    click.echo(f"{script}\nCOMP_WORDBREAKS=${{COMP_WORDBREAKS//@}}" if shell == "bash" else script)


def words_for(before: Sequence[str], incomplete: str) -> list[CompletionItem]:
    """PLACE, or behind it the keys of the place. [] where the server does not answer at once."""
    place = places.read(before[0]) if before else None
    try:
        with _Briefly() as api:
            found = keys_of(api, place) if place else places_of(api)
    except (Failure, click.ClickException, KeyError, TypeError):
        return []
    return [CompletionItem(word) for word in found if word.startswith(incomplete)]


def services_for(incomplete: str) -> list[CompletionItem]:
    """Names of services. [] where the server does not answer at once."""
    try:
        with _Briefly() as api:
            found = [each["slug"] for each in api("/services")]
    except (Failure, click.ClickException, KeyError, TypeError):
        return []
    return [CompletionItem(word) for word in found if word.startswith(incomplete)]


def places_of(api: "_Briefly") -> list[str]:
    """Each service in each environment, then the layers."""
    services = [each["slug"] for each in api("/services")]
    environments = [each["slug"] for each in api("/environments")]
    layers = [
        f"{each['kind']}/{each['slug']}" if each["slug"] else "global" for each in api("/layers")
    ]
    return [*(f"{service}@{name}" for service in services for name in environments), *layers]


def keys_of(api: "_Briefly", place: places.Place) -> list[str]:
    if place.is_scope:
        return sorted(api.document(f"{place.path}/config", {"provenance": 1}))
    release = api.document(place.path)["release"]
    return sorted(api.document(f"{place.path}/releases/{release}")["entries"]) if release else []


class _Briefly:
    """Calls that are given up together after TIMEOUT_S, and say nothing."""

    def __enter__(self) -> "_Briefly":
        told = environment.read()
        url = address(told.url or keeping.load(told.config_dir).url)
        self._deadline = time.monotonic() + TIMEOUT_S
        self._api = Api(url, token_of(told, url), patience_s=0.0, notify=lambda _: None)
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    def __call__(self, path: str) -> list[Any]:
        """The first page of a list; more is more than anybody completes."""
        found: list[Any] = self.document(path, {"limit": 500})["items"]
        return found

    def document(self, path: str, query: dict[str, Any] | None = None) -> Any:
        left_s = max(0.05, self._deadline - time.monotonic())
        return self._api.get(path, query, timeout_s=left_s)
