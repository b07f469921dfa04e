"""`webhooks`: who is told what happens, and what was delivered."""

from pathlib import Path
from typing import Any

import click

from confhub.client.command.common import Session, connected, reads_from
from confhub.client.command.groups import Listing
from confhub.client.command.tokens import out_option, part, tell_secret
from confhub.client.command.words import printable, table

Document = dict[str, Any]
PATH = "/webhooks"
HEADS = ("WEBHOOK", "FORM", "TO", "KINDS", "PLACE", "STATE", "WAITING")
to_option = click.option("--to", metavar="URL", help="An address; of email those of people, with commas.")  # fmt: skip
to_file_option = click.option("--to-file", metavar="FILE", help="The address is in this file (- is stdin): Slack's is a secret.")  # fmt: skip


@click.group(name="webhooks", cls=Listing)
def webhooks() -> None:
    """Webhooks: list (what it does alone), show, create, change, delete, secret, test, deliveries,
    redeliver."""


@webhooks.command(name="list")
@connected
def list_webhooks(session: Session) -> None:
    """Those that you administer."""
    found = session.api.pages(PATH)
    session.show(found, lambda: table(HEADS, map(_row, found["items"])) or "There is no webhook.")


@webhooks.command(name="show")
@click.argument("name")
@connected
def show_webhook(session: Session, name: str) -> None:
    """One webhook and how it does."""
    found = session.api.get(f"{PATH}/{part(name)}")
    session.show(found, lambda: _words(found))


@webhooks.command(name="create")
@click.argument("name")
@to_option
@to_file_option
@click.option(
    "--form",
    "message_form",
    type=click.Choice(["standard", "slack", "email"]),
    default="standard",
    show_default=True,
    help="What it is sent as.",
)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    metavar="KIND",
    help="release.published …; all where left out. Repeatable.",
)
@click.option("--service", metavar="SLUG", help="Only of this one.")
@click.option("--environment", metavar="SLUG", help="Only in this one.")
@out_option
@connected
def create_webhook(
    session: Session, name: str, to: str | None, to_file: str | None, message_form: str,
    kinds: tuple[str, ...], out: Path | None, **place: str | None,
) -> None:  # fmt: skip
    """Make a webhook. The secret that signs is told this once."""
    address = _address(to, to_file)
    if address is None:
        raise click.UsageError("Missing option '--to' (or '--to-file').")
    body: Document = {"name": name, "form": message_form, "to": address, "kinds": [*kinds]}
    body |= {key: held for key, held in place.items() if held is not None}
    found = session.api.call("POST", PATH, body).document
    if found["secret"]:
        tell_secret(session, found, "secret", out, f"The webhook {name} is there. Its secret is told this once.")  # fmt: skip
    else:
        session.show(found, f"The webhook {printable(name)} is there.")


@webhooks.command(name="change")
@click.argument("name")
@to_option
@to_file_option
@click.option(
    "--kind", "kinds", multiple=True, metavar="KIND", help="In place of those it has; repeatable."
)
@click.option("--every-kind", is_flag=True, help="Tell it of all kinds.")
@click.option("--on/--off", "on", default=None, help="Off: what happens meanwhile is not told.")
@connected
def change_webhook(
    session: Session, name: str, to: str | None, to_file: str | None, kinds: tuple[str, ...],
    every_kind: bool, on: bool | None,
) -> None:  # fmt: skip
    """Change a webhook's address or kinds, or switch it."""
    body: Document = {}
    if (address := _address(to, to_file)) is not None:
        body["to"] = address
    if kinds or every_kind:
        body["kinds"] = [*kinds]
    if on is not None:
        body["on"] = on
    if not body:
        raise click.UsageError(
            "Nothing is changed. Write --to, --kind, --every-kind, --on or --off."
        )
    found = session.api.call("PATCH", f"{PATH}/{part(name)}", body).document
    session.show(found, lambda: _words(found))


@webhooks.command(name="delete")
@click.argument("name")
@connected
def delete_webhook(session: Session, name: str) -> None:
    """Remove a webhook with its deliveries; what waits is never sent."""
    session.api.call("DELETE", f"{PATH}/{part(name)}")
    session.show({"name": name, "removed": True}, f"The webhook {printable(name)} is removed.")


@webhooks.command(name="secret")
@click.argument("name")
@out_option
@connected
def new_secret(session: Session, name: str, out: Path | None) -> None:
    """Give it another secret, told this once; the one before signs beside it for a day."""
    found = session.api.call("POST", f"{PATH}/{part(name)}/secret").document
    tell_secret(session, found, "secret", out, f"The webhook {name} has a new secret. It is told this once.")  # fmt: skip


@webhooks.command(name="test")
@click.argument("name")
@connected
def test_webhook(session: Session, name: str) -> None:
    """Send it a message of the kind `test`, once."""
    found = session.api.call("POST", f"{PATH}/{part(name)}/test").document
    session.show(found, f"Delivery {found['id']} is on its way. Look: confhub webhooks deliveries {printable(name)}")  # fmt: skip


@webhooks.command(name="deliveries")
@click.argument("name")
@click.option(
    "--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="How many."
)
@connected
def deliveries(session: Session, name: str, limit: int) -> None:
    """What was sent, or waits to be, the newest first."""
    found = session.api.pages(f"{PATH}/{part(name)}/deliveries", most=limit)
    rows = [(each["id"], each["made_at"], each["kind"], _sent(each), each["status"], each["answer"]) for each in found["items"]]  # fmt: skip
    session.show(found, lambda: table(("DELIVERY", "AT", "KIND", "STATE", "STATUS", "ANSWER"), rows) or "Nothing was sent yet.")  # fmt: skip


@webhooks.command(name="redeliver")
@click.argument("name")
@click.argument("delivery")
@connected
def redeliver(session: Session, name: str, delivery: str) -> None:
    """Send a delivery again."""
    path = f"{PATH}/{part(name)}/deliveries/{part(delivery)}/redeliver"
    found = session.api.call("POST", path).document
    session.show(found, f"Delivery {found['id']} is on its way again.")


def _address(to: str | None, to_file: str | None) -> str | None:
    if to is not None and to_file is not None:
        raise click.UsageError("--to and --to-file do not go together.")
    return reads_from(to_file, what="--to-file").strip() if to_file is not None else to


def _row(found: Document) -> tuple[Any, ...]:
    place = f"{found['service'] or '*'}@{found['environment'] or '*'}"
    return (
        found["name"], found["form"], found["to"], ", ".join(found["kinds"]) or "every one", place,
        _state(found), found["waiting"],
    )  # fmt: skip


def _state(found: Document) -> str:
    if not found["on"]:
        return f"off: {found['off_because']}" if found["off_because"] else "off"
    return f"failing since {found['failing_since']}" if found["failing_since"] else "on"


def _words(found: Document) -> str:
    return table(HEADS, [_row(found)])


def _sent(found: Document) -> str:
    if found["state"] == "waiting" and found["behind"]:
        return "waiting behind another"
    return f"{found['state']} after {found['tries']}" if found["tries"] > 1 else str(found["state"])
