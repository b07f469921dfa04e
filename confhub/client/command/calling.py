"""`api`: any call of REST, for what has no word of its own."""

from urllib.parse import parse_qsl

import click

from confhub.client.command.calls import BASE
from confhub.client.command.common import Session, connected, reads_from
from confhub.client.command.values import strict_json
from confhub.client.command.words import printable

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@click.command(name="api")
@click.argument("method", type=click.Choice(METHODS, case_sensitive=False))
@click.argument("path")
@click.option("-d", "--data", metavar="JSON", help="The body; - is stdin.")
@click.option(
    "-H", "--header", "headers", multiple=True, metavar="NAME: VALUE", help="Such as 'If-Match: *'; repeatable."
)  # fmt: skip
@connected
def api(
    session: Session, method: str, path: str, data: str | None, headers: tuple[str, ...]
) -> None:
    """Make one call of REST and print its answer.

    \b
    confhub api GET /services
    confhub api POST /people -d '{"name": "mia"}'

    PATH stands below /api/v1; the calls are listed at CONFHUB_URL/api/v1/docs.
    """
    address, _, query = path.removeprefix(BASE).partition("?")
    if not address.startswith("/"):
        raise click.BadParameter(
            f"{printable(path)[:140]!r}: write the path of a call, such as /services.",
            param_hint="PATH",
        )
    body = None
    if data is not None:
        text = reads_from("-", what="--data") if data == "-" else data
        try:
            body = strict_json(text)
        except ValueError as error:
            # The text is not quoted: it may hold a secret.
            raise click.BadParameter("This is no JSON.", param_hint="--data") from error
    sent = dict(_header(each) for each in headers)
    pairs = parse_qsl(query, keep_blank_values=True)
    asked = dict(pairs)
    if len(asked) != len(pairs):
        raise click.BadParameter(
            "A name stands twice in the query. Write it once.", param_hint="PATH"
        )
    answer = session.api.call(method.upper(), address, body, query=asked, headers=sent)
    kind = {name.lower(): held for name, held in answer.headers.items()}.get("content-type", "json")
    if session.as_json or "json" in kind:
        session.as_json = True
        session.show(answer.document, "")
    else:
        click.echo(answer.content, nl=False)


def _header(text: str) -> tuple[str, str]:
    """Raises click.BadParameter."""
    name, colon, held = text.partition(":")
    name, held = name.strip(), held.strip()
    if (
        not colon
        or not name.isascii()
        or not name.replace("-", "").isalnum()
        or not held.isprintable()
    ):
        raise click.BadParameter(f"{printable(text)[:80]!r}: write NAME: VALUE.", param_hint="--header")  # fmt: skip
    return name, held
