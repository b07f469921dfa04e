"""`requests`: ask others to agree with a draft, and answer those who ask."""

import uuid
from typing import Any

import click

from confhub.client.command import places, publishing, waiting
from confhub.client.command.common import Session, connected, place_argument
from confhub.client.command.groups import Listing
from confhub.client.command.places import Place
from confhub.client.command.waiting import Target
from confhub.client.command.words import printable, table

Document = dict[str, Any]
number_argument = click.argument("number", type=click.IntRange(min=1))
_KINDS = {"environment ": "environment/", "set ": "set/", "service ": "service/"}


@click.group(name="requests", cls=Listing)
def requests() -> None:
    """Requests: list (what it does alone), show, ask, approve, reject, withdraw, comment, publish."""


@requests.command(name="list")
@click.option("--mine", is_flag=True, help="Those that wait for you.")
@click.option("--place", type=places.PlaceType(), help="All of this place, also decided ones.")
@connected
def list_requests(session: Session, mine: bool = False, place: Place | None = None) -> None:
    """Requests that are open, or approved and not published yet."""
    if place is not None:
        found = session.api.pages(f"{place.path}/requests")
    else:
        found = session.api.get("/requests", {"mine": mine or None})
    rows = [
        (each["id"], _place(each), _state(each), each["author"], each["message"])
        for each in found["items"]
    ]
    session.show(found, lambda: table(("REQUEST", "PLACE", "STATE", "BY", "MESSAGE"), rows) or "No request is open.")  # fmt: skip


@requests.command(name="show")
@number_argument
@connected
def show_request(session: Session, number: int) -> None:
    """One request with its comments."""
    found = session.api.get(f"/requests/{number}")
    session.show(found, lambda: _words(found))


@requests.command(name="ask")
@place_argument()
@click.option("-m", "--message", required=True, metavar="TEXT", help="Why; the release gets it.")
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="SERVICE@ENVIRONMENT",
    help="Of a layer: only for these.",
)
@connected
def ask(session: Session, *, place: Place, message: str, targets: tuple[str, ...]) -> None:
    """Ask for approval of the draft of PLACE, as it is now."""
    body: Document = {"message": message}
    if targets:
        chosen = [places.scope_only(places.place(each, name="--target"), "a target is none") for each in targets]  # fmt: skip
        body["targets"] = [
            {"service": each.service, "environment": each.environment} for each in chosen
        ]
    found = session.api.call("POST", f"{place.path}/requests", body).document
    session.show(found, f"Request {found['id']} for {place} is open. Another person approves it: confhub requests approve {found['id']}")  # fmt: skip


@requests.command(name="approve")
@number_argument
@click.option("-m", "--message", "text", default="", metavar="TEXT", help="A comment.")
@connected
def approve(session: Session, number: int, text: str) -> None:
    """Agree with what a request would publish."""
    found = session.api.call("POST", f"/requests/{number}/approve", {"text": text}).document
    session.show(
        found, f"Request {number} is approved. Publish it: confhub requests publish {number}"
    )


@requests.command(name="reject")
@number_argument
@click.option("-m", "--message", "text", required=True, metavar="TEXT", help="Why not.")
@connected
def reject(session: Session, number: int, text: str) -> None:
    """Disagree, and say why."""
    found = session.api.call("POST", f"/requests/{number}/reject", {"text": text}).document
    session.show(found, f"Request {number} is rejected.")


@requests.command(name="withdraw")
@number_argument
@connected
def withdraw(session: Session, number: int) -> None:
    """Take a request back."""
    found = session.api.call("POST", f"/requests/{number}/withdraw").document
    session.show(found, f"Request {number} is withdrawn.")


@requests.command(name="comment")
@number_argument
@click.option(
    "-m", "--message", "text", required=True, metavar="TEXT", help="What you have to say."
)
@connected
def comment(session: Session, number: int, text: str) -> None:
    """Say something about a request."""
    found = session.api.call("POST", f"/requests/{number}/comments", {"text": text}).document
    session.show(found, f"Request {number} has your comment.")


@requests.command(name="publish", cls=publishing.Waiting)
@number_argument
@click.option(
    "-m", "--message", default="", metavar="TEXT", help="The request's own where left out."
)
@click.option("--confirm", multiple=True, metavar="CODE", help="A guard that is meant; repeatable.")
@publishing.wait_option
@publishing.require_option
@connected
def publish(
    session: Session, number: int, message: str, confirm: tuple[str, ...], wait_s: float | None,
    require_instances: bool,
) -> None:  # fmt: skip
    """Publish what was approved."""
    body = {"message": message, "confirm": [*confirm]}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    path = f"/requests/{number}/publish"
    document = session.api.call("POST", path, body, headers=headers).document
    targets = [Target(places.scope(each["service"], each["environment"]), each["release"]) for each in document["releases"]]  # fmt: skip
    if not session.as_json:
        click.echo(f"Request {number} is published: {', '.join(map(str, targets)) or 'it changes no configuration'}.")  # fmt: skip
    if wait_s is not None and targets:
        found = waiting.follow(session, targets, wait_s, require_instances=require_instances)
        document = {**document, "convergence": found}
        if not session.as_json:
            click.echo("\n".join(waiting.ending(target, each) for target, each in zip(targets, found, strict=True)))  # fmt: skip
    if session.as_json:
        session.show(document, "")


def _place(found: Document) -> str:
    if found["service"]:
        return f"{found['service']}@{found['environment']}"
    layer = str(found["layer"])
    for words, prefix in _KINDS.items():
        layer = layer.replace(words, prefix, 1) if layer.startswith(words) else layer
    return layer


def _state(found: Document) -> str:
    return f"{found['state']}, out of date" if found["out_of_date"] else str(found["state"])


def _words(found: Document) -> str:
    lines = [
        f"Request {found['id']} for {_place(found)}: {_state(found)}",
        printable(f"asked by {found['author']} at {found['asked_at']}: {found['message']}"),
    ]
    if found["decided_by"]:
        lines.append(printable(f"decided by {found['decided_by']} at {found['decided_at']}"))
    lines += [
        printable(f"{each['author']} at {each['at']}: {each['text']}") for each in found["comments"]
    ]
    return "\n".join(lines)
