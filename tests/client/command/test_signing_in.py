"""login, logout, whoami: where a token stays, and where it never goes."""

import json
import os
import pty
import stat
import subprocess
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.client.command.conftest import PROGRAM, Command
from tests.parts.issuer import Issuer, github
from tests.parts.proxy import TcpProxy
from tests.parts.system import TOKEN, System

RING = "tests.client.command.ring.Ring"


def unsigned(confhub: Command) -> Command:
    del confhub.environment["CONFHUB_TOKEN_FILE"]
    return confhub


def kept(confhub: Command) -> Path:
    return confhub.folder / "config" / "confhub" / "credentials.json"


def test_a_token_is_checked_and_kept_for_its_address_alone(
    confhub: Command, server: System
) -> None:
    confhub = unsigned(confhub)

    ran = confhub("login", server.url, stdin=f"{TOKEN}\n", CONFHUB_URL="")

    assert (
        ran.out == f"Signed in to {server.url} as token:admin. The token is in {kept(confhub)}.\n"
    )
    assert stat.S_IMODE(kept(confhub).stat().st_mode) == 0o600
    assert stat.S_IMODE(kept(confhub).parent.stat().st_mode) == 0o700
    assert confhub("whoami", CONFHUB_URL="").out.startswith(f"token:admin at {server.url}\n")
    with TcpProxy(server.web.port) as proxy:  # the same server under another address
        other = confhub("whoami", CONFHUB_URL=f"http://{proxy.endpoint}", code=1)
    assert "(not_signed_in" in other.err

    assert confhub("logout", CONFHUB_URL="").out == f"The token for {server.url} is forgotten.\n"
    assert TOKEN not in kept(confhub).read_text()
    assert confhub("whoami", CONFHUB_URL="", code=1).out == ""
    assert confhub("logout", CONFHUB_URL="").out == f"No token was kept for {server.url}.\n"


def test_a_token_that_opens_nothing_is_not_kept(confhub: Command, server: System) -> None:
    ran = unsigned(confhub)("login", server.url, stdin="another-token-that-nobody-made", code=1)

    assert "This token is not known" in ran.err
    assert "another-token" not in ran.err
    assert not kept(confhub).exists()


def test_a_token_is_read_from_a_file(confhub: Command, server: System) -> None:
    ran = unsigned(confhub)("login", "--token-file", "token", "--output", "json")

    assert ran.document["name"] == "token:admin"
    assert ran.document["kept"] == "file"
    assert "is set and goes before" in confhub("logout", CONFHUB_TOKEN=TOKEN).err


def test_a_token_is_typed_unseen(confhub: Command, server: System) -> None:
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "login", server.url], stdin=slave, stdout=slave, stderr=slave,
        env=unsigned(confhub).environment, start_new_session=True,
        preexec_fn=_take_terminal,
    )  # fmt: skip
    os.close(slave)
    said = b""
    while b"Token for" not in said:
        said += os.read(master, 1000)
    os.write(master, f"{TOKEN}\n".encode())
    said += _rest(master)
    assert process.wait(30) == 0, said
    os.close(master)

    assert TOKEN.encode() not in said
    assert b"Signed in to" in said


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _rest(master: int) -> bytes:
    said = b""
    try:
        while chunk := os.read(master, 1000):
            said += chunk
    except OSError:  # the other side is closed
        pass
    return said


def test_a_keyring_is_used_where_there_is_one(confhub: Command, server: System) -> None:
    confhub = unsigned(confhub)
    ring = {"PYTHON_KEYRING_BACKEND": RING, "PYTHONPATH": str(Path(__file__).parents[3]), "RING_FILE": str(confhub.folder / "ring.json")}  # fmt: skip

    ran = confhub("login", server.url, stdin=TOKEN, **ring)

    assert ran.out.endswith("The token is in the system's keyring.\n")
    assert TOKEN not in kept(confhub).read_text()
    assert json.loads((confhub.folder / "ring.json").read_text()) == {server.url: TOKEN}
    assert confhub("whoami", **ring).code == 0
    locked = confhub("whoami", code=1)  # the same account, no keyring any more
    assert "is in the system's keyring, which cannot be opened here" in locked.err
    confhub("logout", **ring)
    assert json.loads((confhub.folder / "ring.json").read_text()) == {}


def test_no_keyring_where_one_is_asked_for_keeps_nothing(confhub: Command, server: System) -> None:
    ran = unsigned(confhub)("login", server.url, "--keep", "keyring", stdin=TOKEN, code=1)

    assert "There is no keyring" in ran.err
    assert not kept(confhub).exists()


def test_a_damaged_file_is_named(confhub: Command) -> None:
    kept(confhub).parent.mkdir(parents=True)
    kept(confhub).write_text("{")

    ran = unsigned(confhub)("whoami", CONFHUB_URL="", code=1)

    assert f"{kept(confhub)} is damaged" in ran.err


def test_the_token_is_in_no_process_list(confhub: Command, shop: str) -> None:
    process = confhub.start("watch", f"{shop}@dev")
    try:
        assert TOKEN.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    finally:
        process.terminate()
        process.communicate(timeout=20)


# ── a CI job ──────────────────────────────────────────────────────────────────────────────────────


class Forge:
    """GitHub's address for identity tokens, as a job sees it."""

    def __init__(self, issuer: Issuer) -> None:
        self.audiences: list[str] = []
        forge = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                is_ours = self.headers["Authorization"] == "Bearer the-jobs-own" and query["api-version"] == ["2"]  # fmt: skip
                forge.audiences += query["audience"]
                claims = github(issuer.url, now=datetime.now(UTC), aud=query["audience"][0])
                body = json.dumps({"value": issuer.token(claims)} if is_ours else {}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def variables(self) -> dict[str, str]:
        url = f"http://127.0.0.1:{self._server.server_port}/token?api-version=2"
        return {
            "ACTIONS_ID_TOKEN_REQUEST_URL": url,
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "the-jobs-own",
        }

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def issuer() -> Any:
    made = Issuer()
    yield made
    made.stop()


def trust_in(issuer: Issuer, server: System, audience: str, shop: str) -> str:
    name = f"{shop}-ci"
    body = {
        "name": name, "issuer": issuer.url, "jwks_url": f"{issuer.url}/keys", "audience": audience,
        "claims": {"repository": "acme/shop"}, "person": "admin",
        "reach": [{"verbs": ["publish"], "service": shop, "environment": "dev"}],
    }  # fmt: skip
    status, answer = server.call("POST", "/trusts", body)
    assert status == 201, answer
    return name


def test_a_job_at_github_exchanges_its_identity(
    confhub: Command, server: System, shop: str, issuer: Issuer
) -> None:
    confhub = unsigned(confhub)
    trust = trust_in(issuer, server, server.url, shop)
    forge = Forge(issuer)
    try:
        ran = confhub("login", server.url, "--oidc", trust, **forge.variables)
    finally:
        forge.stop()

    assert forge.audiences == [server.url]
    assert ran.out.startswith(f"Signed in to {server.url} as token:")
    assert " ends at " in ran.err
    confhub("publish", f"{shop}@dev", "-m", "from CI", "--set", "TAG=1")
    assert "not_" in confhub("publish", f"{shop}@prod", "-m", "no", "--set", "TAG=1", code=1).err


def test_a_job_at_gitlab_prints_what_its_shell_reads(
    confhub: Command, server: System, shop: str, issuer: Issuer
) -> None:
    confhub = unsigned(confhub)
    trust = trust_in(issuer, server, "confhub", shop)
    proof = issuer.token(github(issuer.url, now=datetime.now(UTC), aud="confhub"))

    ran = confhub("login", server.url, "--oidc", trust, "--print-export", CONFHUB_ID_TOKEN=proof)

    first, second = ran.out.splitlines()
    assert first == f"export CONFHUB_URL={server.url}"
    name, _, token = second.removeprefix("export ").partition("=")
    assert name == "CONFHUB_TOKEN"
    assert not kept(confhub).exists()
    assert proof not in ran.out + ran.err
    assert confhub("whoami", CONFHUB_TOKEN=token).code == 0


def test_without_an_identity_it_says_what_the_job_lacks(confhub: Command, server: System) -> None:
    ran = unsigned(confhub)("login", server.url, "--oidc", "ci", code=2)

    assert "id-token: write" in ran.err
