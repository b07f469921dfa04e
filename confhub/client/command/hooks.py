"""`hooks`: deploy hooks, and what came in through them."""

from pathlib import Path
from typing import Any

import click

from confhub.client.command import bodies, places
from confhub.client.command.common import Session, connected, read_token
from confhub.client.command.groups import Listing
from confhub.client.command.places import Place
from confhub.client.command.tokens import out_option, part, tell_secret
from confhub.client.command.words import assignment, change_lines, printable, table

Document = dict[str, Any]
PATH = "/deploy-hooks"
KINDS = ("confhub", "github", "gitlab", "dockerhub")
file_option = click.option("-f", "--file", "file", metavar="FILE", help="mapping and filters, as YAML or JSON; - is stdin.")  # fmt: skip
secret_option = click.option("--secret-file", type=click.Path(path_type=Path), help="A secret that the sender made; one is made where left out.")  # fmt: skip


@click.group(name="hooks", cls=Listing)
def hooks() -> None:
    """Deploy hooks: list (what it does alone), show, create, change, delete, secret, preview,
    deliveries, delivery, retry."""


@hooks.command(name="list")
@connected
def list_hooks(session: Session) -> None:
    """Every deploy hook at a place where you may publish."""
    found = session.api.pages(PATH)
    session.show(found, lambda: table(("HOOK", "PLACE", "KIND", "ACTS AS", "ON", "ADDRESS"), map(_row, found["items"])) or "There is no deploy hook.")  # fmt: skip


@hooks.command(name="show")
@click.argument("name")
@connected
def show_hook(session: Session, name: str) -> None:
    """One hook with its mapping, without its secret."""
    found = session.api.get(f"{PATH}/{part(name)}")
    session.show(found, lambda: _words(found))


@hooks.command(name="create")
@click.argument("name")
@click.argument("place", type=places.PlaceType())
@click.option(
    "--kind", type=click.Choice(KINDS), default="confhub", show_default=True, help="Who sends."
)
@click.option(
    "-f",
    "--file",
    "file",
    metavar="FILE",
    required=True,
    help="mapping and filters, as YAML or JSON; - is stdin.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(0, 3600),
    default=0,
    help="Seconds to wait for the outcome before it answers.",
)
@secret_option
@out_option
@connected
def create_hook(
    session: Session, name: str, place: Place, kind: str, file: str, wait_s: int,
    secret_file: Path | None, out: Path | None,
) -> None:  # fmt: skip
    """Make a hook that publishes at PLACE as you. Its secret is told this once.

    \b
    mapping:
      set: {TAG: {pointer: /release/tag_name}}
    filters:
      events: [release]
    """
    places.scope_only(place, "a hook publishes one configuration")
    body: Document = {
        "name": name, "kind": kind, "service": place.service, "environment": place.environment,
        "wait_s": wait_s, **bodies.read(file, option="--file"), **_secret(secret_file),
    }  # fmt: skip
    found = session.api.call("POST", PATH, body).document
    tell_secret(session, found, "secret", out, f"The hook {name} listens at {found['address']}. Its secret is told this once.")  # fmt: skip


@hooks.command(name="change")
@click.argument("name")
@file_option
@click.option(
    "--wait", "wait_s", type=click.IntRange(0, 3600), help="Seconds to wait before it answers."
)
@click.option("--on/--off", "on", default=None, help="Off refuses whatever comes.")
@click.option("--take-over", is_flag=True, help="It acts as you from now on.")
@connected
def change_hook(
    session: Session, name: str, file: str | None, wait_s: int | None, on: bool | None,
    take_over: bool,
) -> None:  # fmt: skip
    """Change what a hook maps, how long it waits, or switch it."""
    body: Document = bodies.read(file, option="--file") if file else {}
    body |= {key: held for key, held in (("wait_s", wait_s), ("on", on)) if held is not None}
    if take_over:
        body["take_over"] = True
    if not body:
        raise click.UsageError(
            "Nothing is changed. Write --file, --wait, --on, --off or --take-over."
        )
    found = session.api.call("PATCH", f"{PATH}/{part(name)}", body).document
    session.show(found, lambda: _words(found))


@hooks.command(name="delete")
@click.argument("name")
@connected
def delete_hook(session: Session, name: str) -> None:
    """Remove a hook with its deliveries; what it published stays."""
    session.api.call("DELETE", f"{PATH}/{part(name)}")
    session.show({"name": name, "removed": True}, f"The hook {printable(name)} is removed.")


@hooks.command(name="secret")
@click.argument("name")
@secret_option
@out_option
@connected
def new_secret(session: Session, name: str, secret_file: Path | None, out: Path | None) -> None:
    """Give a hook another secret, told this once; the old one is refused at once."""
    found = session.api.call("POST", f"{PATH}/{part(name)}/secret", _secret(secret_file)).document
    tell_secret(session, found, "secret", out, f"The hook {name} has a new secret. It is told this once.")  # fmt: skip


@hooks.command(name="preview")
@click.argument("name")
@click.option("--payload", metavar="FILE", help="A sample; the newest that came where left out.")
@file_option
@connected
def preview(session: Session, name: str, payload: str | None, file: str | None) -> None:
    """What a payload would set and publish, by this mapping or the one of --file. Nothing is written."""
    body: Document = bodies.read(file, option="--file") if file else {}
    if payload is not None:
        body["payload"] = bodies.read(payload, option="--payload")
    found = session.api.call("POST", f"{PATH}/{part(name)}/preview", body).document
    session.show(found, lambda: _previewed(found))


@hooks.command(name="deliveries")
@click.argument("name")
@click.option(
    "--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="How many."
)
@connected
def deliveries(session: Session, name: str, limit: int) -> None:
    """What came, the newest first."""
    found = session.api.pages(f"{PATH}/{part(name)}/deliveries", most=limit)
    rows = [(each["id"], each["received_at"], each["event"], each["outcome"], f"r{each['release']}" if each["release"] else "", each["detail"]) for each in found["items"]]  # fmt: skip
    session.show(found, lambda: table(("DELIVERY", "AT", "EVENT", "OUTCOME", "RELEASE", "DETAIL"), rows) or "Nothing came yet.")  # fmt: skip


@hooks.command(name="delivery")
@click.argument("name")
@click.argument("number", type=click.IntRange(min=1))
@connected
def delivery(session: Session, name: str, number: int) -> None:
    """One delivery with its payload."""
    import json

    found = session.api.get(f"{PATH}/{part(name)}/deliveries/{number}")
    head = printable(f"{found['received_at']} {found['event']} from {found['came_from']}: {found['outcome']} {found['detail']}")  # fmt: skip
    session.show(found, f"{head}\n{json.dumps(found['payload'], indent=2)}")


@hooks.command(name="retry")
@click.argument("name")
@click.argument("number", type=click.IntRange(min=1))
@click.option("--confirm", multiple=True, metavar="CODE", help="A guard that is meant; repeatable.")
@connected
def retry(session: Session, name: str, number: int, confirm: tuple[str, ...]) -> None:
    """Carry a kept delivery out once more, by the mapping of today and with your rights."""
    body = {"confirm": [*confirm]}
    found = session.api.call(
        "POST", f"{PATH}/{part(name)}/deliveries/{number}/retry", body
    ).document
    release = f" r{found['release']}" if found["release"] else ""
    session.show(found, printable(f"{found['service']}@{found['environment']}{release}: {found['outcome']} {found['detail']}").strip())  # fmt: skip


def _secret(path: Path | None) -> Document:
    return {"secret": read_token(path, "--secret-file")} if path else {}


def _place(found: Document) -> str:
    return f"{found['service']}@{found['environment']}"


def _row(found: Document) -> tuple[Any, ...]:
    return found["name"], _place(found), found["kind"], found["person"], "on" if found["on"] else "off", found["address"]  # fmt: skip


def _words(found: Document) -> str:
    from watchers.render.yaml_form import write_yaml

    head = printable(f"{found['name']}  {_place(found)}  {found['kind']}  acts as {found['person']}  {'on' if found['on'] else 'off'}")  # fmt: skip
    rules = write_yaml({"mapping": found["mapping"], "filters": found["filters"]}).decode().rstrip()
    return f"{head}\n{found['address']}\n{rules}"


def _previewed(found: Document) -> str:
    lines = [printable(f"{found['source']}: {found['outcome']} {found['detail']}").strip()]
    lines += [f"  sets {assignment(key, value)}" for key, value in found["set"].items()]
    lines += [f"  unsets {printable(key)}" for key in found["unset"]]
    lines += change_lines(found["changes"])
    if found["refusal"]:
        lines.append(printable(f"It would be refused: {found['refusal']['detail']} ({found['refusal']['code']})"))  # fmt: skip
    return "\n".join(lines)
