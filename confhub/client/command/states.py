"""`status`: how far a release got."""

from typing import Any

import click

from confhub.client.command import drafts, places, waiting
from confhub.client.command.common import Session, connected, place_argument
from confhub.client.command.places import Place
from confhub.client.command.publishing import Waiting, require_option, wait_option
from confhub.client.command.waiting import Target, behind_line, summary
from confhub.client.command.words import printable

_ON_ITS_WAY = {"waiting": "not in etcd yet", "parked": "held back from etcd"}


@click.command(name="status", cls=Waiting)
@place_argument()
@click.option(
    "--release",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of this release; the newest where left out.",
)
@wait_option
@require_option
@connected
def status(
    session: Session, *, place: Place, release: int | None, wait_s: float | None,
    require_instances: bool,
) -> None:  # fmt: skip
    """How far a release of PLACE got: who confirmed it, who is behind, and why.

    Exits with 0 whatever it tells, unless --wait asks for an outcome (--wait 0: the outcome now).
    """
    places.scope_only(place, "nobody runs a layer")
    number = release or drafts.newest(session, place)
    target = Target(place, number)
    if wait_s is not None:
        [found] = waiting.follow(session, [target], wait_s, require_instances=require_instances)
        session.show(found, waiting.ending(target, found))
        return
    held = session.api.get(f"{place.path}/releases/{number}")
    found = session.api.get(f"{place.path}/convergence", {"release": number})
    session.show(found, lambda: _words(target, held, found))


def _words(target: Target, held: dict[str, Any], found: dict[str, Any]) -> str:
    publication = held["publication"]
    lines = [
        printable(f"{target} by {held['author']} at {held['created_at']}: {held['message']}"),
        f"{found['state']}: {summary(found['counts'])}"
        if found["counts"] and found["state"] != "nobody"
        else "nobody runs it",
    ]
    if publication["state"] in _ON_ITS_WAY:
        lines.append(
            printable(f"{_ON_ITS_WAY[publication['state']]} {publication['last_error']}").strip()
        )
    return "\n".join([*lines, *(f"  {behind_line(each)}" for each in found["behind"])])
