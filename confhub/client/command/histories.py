"""`history` and `blame`: the releases, and who set each key."""

from typing import Any

import click

from confhub.client.command import places, values
from confhub.client.command.common import Session, connected, place_argument
from confhub.client.command.failures import Failure
from confhub.client.command.places import Place
from confhub.client.command.words import shown, table


@click.command(name="history")
@place_argument()
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many."
)
@connected
def history(session: Session, *, place: Place, limit: int) -> None:
    """The releases of PLACE, the newest first."""
    found = session.api.pages(f"{place.path}/releases", most=limit)
    heads = ("RELEASE", "AT", "BY", "KEYS", "MESSAGE")
    session.show(
        found, lambda: table(heads, map(_row, found["items"])) or f"{place} has no release yet."
    )


def _row(release: dict[str, Any]) -> tuple[Any, ...]:
    marks = [
        "emergency" if release["emergency"] else "",
        f"restores r{release['restores']}" if release["restores"] else "",
    ]
    told = ", ".join(filter(None, marks))
    message = f"{release['message']} ({told})" if told else release["message"]
    return release["release"], release["created_at"], release["author"], release["keys"], message


@click.command(name="blame")
@place_argument("[KEY]…", needed=False)
@click.option(
    "--release",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of this release; the newest where left out.",
)
@connected
def blame(session: Session, *, place: Place, words: tuple[str, ...], release: int | None) -> None:
    """Who set each key of PLACE: in which layer and release, when, and why; with KEY what it hides."""
    places.scope_only(place, "its history tells who changed it: confhub history")
    keys = values.keys(words)
    found = session.api.get(f"{place.path}/config", {"provenance": 1, "release": release})
    for key in keys:
        if key not in found:
            raise Failure(f"{place} has no key {key}.", code="command.no_key")
    chosen = {key: found[key] for key in keys} if keys else found
    session.show(chosen, lambda: _blamed(chosen, with_hidden=bool(keys)))


def _blamed(found: dict[str, Any], *, with_hidden: bool) -> str:
    rows = []
    for key, each in found.items():
        rows.append(_line(key, each))
        if with_hidden:
            rows += [_line("  hides", hidden) for hidden in each["hides"]]
    return table(("KEY", "LAYER", "RELEASE", "BY", "AT", "VALUE", "MESSAGE"), rows)


def _line(name: str, held: dict[str, Any]) -> tuple[Any, ...]:
    return (
        name, held["layer"], f"r{held['release']}", held["author"], held["at"],
        shown(held["value"])[:60], held["message"],
    )  # fmt: skip
