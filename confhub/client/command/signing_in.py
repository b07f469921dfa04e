"""`login`, `logout`, `whoami`."""

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from confhub.client.command import identity, keeping
from confhub.client.command.common import (
    Session,
    address,
    checked_token,
    connected,
    read_token,
    usage_told,
)
from confhub.client.command.failures import Failure
from confhub.client.command.words import printable, table

Document = dict[str, Any]


@click.command(name="login")
@click.argument("url", required=False)
@click.option("--token-file", type=click.Path(path_type=Path), help="The token is in this file.")
@click.option(
    "--oidc",
    "trust",
    metavar="TRUST",
    help="In a CI job: exchange its identity for a token, by this trust.",
)
@click.option(
    "--audience",
    metavar="TEXT",
    help="With --oidc, at GitHub: for whom the identity is; URL where left out.",
)
@click.option(
    "--id-token-variable",
    default=identity.GITLAB_VARIABLE,
    show_default=True,
    metavar="NAME",
    help="With --oidc, at GitLab: the job's id_tokens variable.",
)
@click.option(
    "--print-export",
    is_flag=True,
    help="With --oidc: print a line for the shell, and keep nothing.",
)
@click.option(
    "--keep",
    "where",
    type=click.Choice(["auto", keeping.KEYRING, keeping.FILE]),
    default="auto",
    show_default=True,
    help="Where the token stays.",
)
@connected
def login(
    session: Session, *, url: str | None, token_file: Path | None, trust: str | None,
    audience: str | None, id_token_variable: str, print_export: bool, where: str,
) -> None:  # fmt: skip
    """Keep an address and a token for the next commands.

    The token is asked for unseen, or read from stdin or --token-file, and checked before it is kept:
    in the system's keyring where there is one, else in a file that you alone can read.
    """
    with usage_told():
        _refuse_odd(trust, token_file, audience, print_export)
        url = address(url or session.told.url or keeping.load(session.told.config_dir).url)
        proof = identity.proof(audience or url, id_token_variable) if trust is not None else ""
        token = _given(url, token_file) if trust is None else ""
    if trust is not None:
        token = _exchanged(session, url, trust, proof)
    if print_export:
        click.echo(
            f"export CONFHUB_URL={shlex.quote(url)}\nexport CONFHUB_TOKEN={shlex.quote(token)}"
        )
        return
    api = session.api_with(url, token)
    found = api.get("/me")
    kept = keeping.keep(session.told.config_dir, url, token, where=where)
    if url.startswith("http://") and not _is_here(url):
        session.note("This address is not encrypted, so the token travels in clear.")
    _note_environment(session)
    places = {keeping.KEYRING: "the system's keyring", keeping.FILE: str(session.told.config_dir / "credentials.json")}  # fmt: skip
    session.show({**found, "url": url, "kept": kept}, f"Signed in to {url} as {printable(found['name'])}. The token is in {places[kept]}.")  # fmt: skip


@click.command(name="logout")
@click.argument("url", required=False)
@connected
def logout(session: Session, *, url: str | None) -> None:
    """Forget the token that was kept for URL. It is not revoked: confhub tokens revoke NAME."""
    with usage_told():
        url = address(url or session.told.url or keeping.load(session.told.config_dir).url)
    was_kept = keeping.forget(session.told.config_dir, url)
    _note_environment(session)
    words = f"The token for {url} is forgotten." if was_kept else f"No token was kept for {url}."
    session.show({"url": url, "forgotten": was_kept}, words)


@click.command(name="whoami")
@connected
def whoami(session: Session) -> None:
    """Who the token is, and what it may do."""
    with usage_told():
        api = session.api
    found = api.get("/me")
    session.show({**found, "url": api.url}, lambda: _words(found, api.url))


def _refuse_odd(trust: str | None, token_file: Path | None, audience: str | None, print_export: bool) -> None:  # fmt: skip
    if trust is None and (audience or print_export):
        raise click.UsageError("--audience and --print-export belong to --oidc.")
    if trust is not None and token_file is not None:
        raise click.UsageError("--oidc and --token-file do not go together.")


def _given(url: str, token_file: Path | None) -> str:
    return read_token(token_file, "--token-file") if token_file else _asked(url)


def _asked(url: str) -> str:
    """Typed unseen at a terminal, else all of stdin."""
    if sys.stdin.isatty():
        typed = click.prompt(f"Token for {url}", hide_input=True, err=True)
        return checked_token(str(typed).strip(), "What was typed")
    content = sys.stdin.buffer.read(64 * 1024)
    return checked_token(content.decode("ascii", "replace").strip(), "stdin")


def _exchanged(session: Session, url: str, trust: str, proof: str) -> str:
    """A short-lived token for a CI job's identity. Raises Failure."""
    body = {"token": proof, "trust": trust}
    found = session.api_with(url, "").call("POST", "/oidc/exchange", body).document
    session.note(f"The token {found['name']} ends at {found['expires_at']}.")
    token = found.get("token")
    if not isinstance(token, str):
        raise Failure("The exchange answered no token.", code="command.no_confhub")
    return token


def _note_environment(session: Session) -> None:
    for name, held in (("CONFHUB_TOKEN_FILE", session.told.token_file), ("CONFHUB_TOKEN", session.told.token)):  # fmt: skip
        if held:
            session.note(f"{name} is set and goes before what is kept.")


def _is_here(url: str) -> bool:
    return url.startswith(("http://127.0.0.1", "http://localhost", "http://[::1]"))


def _words(found: Document, url: str) -> str:
    ends = f", until {found['expires_at']}" if found.get("expires_at") else ""
    lines = [printable(f"{found['name']} at {url}{ends}")]
    if not found.get("unlimited", True):
        rows = [(", ".join(each["verbs"]), each["service"] or "every", each["environment"] or "every") for each in found["reach"]]  # fmt: skip
        lines.append(table(("MAY AT MOST", "SERVICE", "ENVIRONMENT"), rows) or "May do nothing.")
    grants = [(each["role"], each["service"] or "every", each["environment"] or "every") for each in found["grants"]]  # fmt: skip
    lines.append(table(("ROLE", "SERVICE", "ENVIRONMENT"), grants) or "Has no role.")
    return "\n".join(lines)
