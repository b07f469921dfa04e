"""`tokens`: what programs sign in with."""

from pathlib import Path
from typing import Any

import click

from confhub.client.command import keeping
from confhub.client.command.common import Session, connected
from confhub.client.command.failures import Failure
from confhub.client.command.groups import Listing
from confhub.client.command.words import printable, table

Document = dict[str, Any]
out_option = click.option(
    "-o", "--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it into this file (0600) instead of stdout."
)  # fmt: skip


@click.group(name="tokens", cls=Listing)
def tokens() -> None:
    """Tokens: list (what it does alone), show, create, rotate, revoke."""


@tokens.command(name="list")
@click.option("--all", "every", is_flag=True, help="Everybody's; for administrators.")
@click.option("--owner", metavar="PERSON", help="Those of another person.")
@connected
def list_tokens(session: Session, every: bool, owner: str | None) -> None:
    """Your tokens, with what they reach and when they were used."""
    found = session.api.pages("/tokens", {"all": every or None, "owner": owner})
    session.show(found, lambda: table(("TOKEN", "OWNER", "MAY AT MOST", "UNTIL", "LAST USED"), map(_row, found["items"])) or "There is no token.")  # fmt: skip


@tokens.command(name="show")
@click.argument("name")
@connected
def show_token(session: Session, name: str) -> None:
    """One token, without its secret."""
    found = session.api.get(f"/tokens/{part(name)}")
    session.show(found, lambda: table(("TOKEN", "OWNER", "MAY AT MOST", "UNTIL", "LAST USED"), [_row(found)]))  # fmt: skip


@tokens.command(name="create")
@click.argument("name")
@click.option(
    "--reach",
    "reaches",
    multiple=True,
    metavar="VERBS[:PLACE]",
    help="publish:checkout@prod, edit,publish:*@dev, see; repeatable.",
)
@click.option("--unlimited", is_flag=True, help="In place of --reach: all that its person may.")
@click.option(
    "--days", type=click.IntRange(1, 365), default=90, show_default=True, help="Until it ends."
)
@click.option("--owner", metavar="PERSON", help="As whom it acts; you where left out.")
@out_option
@connected
def create_token(
    session: Session, name: str, reaches: tuple[str, ...], unlimited: bool, days: int,
    owner: str | None, out: Path | None,
) -> None:  # fmt: skip
    """Make a token. Its secret is told this once: alone on stdout, or in the file of --out.

    \b
    confhub tokens create ci --reach publish:checkout@prod | gh secret set CONFHUB_TOKEN
    """
    if unlimited == bool(reaches):
        raise click.UsageError("Write --reach VERBS:PLACE for what it may do, or --unlimited.")
    body: Document = {"name": name, "expires_in_days": days, "unlimited": unlimited}
    if owner is not None:
        body["owner"] = owner
    if reaches:
        body["reach"] = [reach_of(each) for each in reaches]
    found = session.api.call("POST", "/tokens", body).document
    tell_secret(session, found, "token", out, f"The token {name} is there. It is told this once.")


@tokens.command(name="rotate")
@click.argument("name")
@click.option(
    "--overlap",
    "overlap_s",
    type=click.IntRange(0, 604_800),
    default=86_400,
    show_default=True,
    help="Seconds for which the old secret still works.",
)
@click.option("--days", type=click.IntRange(1, 365), help="A new end, from now on.")
@out_option
@connected
def rotate_token(session: Session, name: str, overlap_s: int, days: int | None, out: Path | None) -> None:  # fmt: skip
    """Give a token another secret, told this once."""
    body: Document = {"overlap_s": overlap_s} | ({"expires_in_days": days} if days else {})
    found = session.api.call("POST", f"/tokens/{part(name)}/rotate", body).document
    tell_secret(session, found, "token", out, f"The token {name} has a new secret. It is told this once.")  # fmt: skip


@tokens.command(name="revoke")
@click.argument("name")
@connected
def revoke_token(session: Session, name: str) -> None:
    """End a token at once, everywhere."""
    session.api.call("DELETE", f"/tokens/{part(name)}")
    session.show({"name": name, "revoked": True}, f"The token {printable(name)} is revoked.")


def part(name: str) -> str:
    """`name` as one part of an address."""
    from urllib.parse import quote

    return quote(name, safe="")


def reach_of(text: str) -> Document:
    """{"verbs": […], "service"?, "environment"?} of VERBS[:SERVICE@ENVIRONMENT]; * is every one."""
    verbs, _, place = text.partition(":")
    found: Document = {"verbs": [verb.strip() for verb in verbs.split(",") if verb.strip()]}
    service, mark, environment = place.partition("@")
    if not found["verbs"] or (place and not (mark and service and environment)):
        raise click.UsageError(f"--reach {printable(text)[:140]}: write VERBS or VERBS:SERVICE@ENVIRONMENT, * for every one.")  # fmt: skip
    for name, slug in (("service", service), ("environment", environment)):
        if slug and slug != "*":
            found[name] = slug
    return found


def tell_secret(
    session: Session, found: Document, member: str, out: Path | None, told: str
) -> None:
    """The one time that a secret is told: alone on stdout, in a file of 0600, or in the document."""
    if out is not None:
        try:
            keeping.write_private(out, f"{found[member]}\n")
        except OSError as error:
            raise Failure(f"{out} cannot be written: {error.strerror}. The secret is lost; make another one.", code="command.file") from error  # fmt: skip
        rest = {name: held for name, held in found.items() if name != member}
        session.show({**rest, "file": str(out)}, f"{told} It is in {out}.")
        return
    if session.as_json:
        session.show(found, "")
        return
    session.note(told)
    click.echo(found[member])


def reach_words(found: Document) -> str:
    """ "publish checkout@prod; see everywhere"."""
    if found["unlimited"]:
        return "all that its person may"
    told = [
        f"{'+'.join(each['verbs'])} {each['service'] or '*'}@{each['environment'] or '*'}"
        for each in found["reach"]
    ]
    return "; ".join(told) or "nothing"


def _row(found: Document) -> tuple[Any, ...]:
    used = found["last_used_at"] or "never"
    if found["last_used_from"]:
        used = f"{used} from {found['last_used_from']}"
    until = found["expires_at"] or "for ever"
    return found["name"], found["owner"], reach_words(found), f"{until} (ended)" if found["expired"] else until, used  # fmt: skip
