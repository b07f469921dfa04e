"""requests, tokens, hooks and webhooks: what the lines say, and that secrets are told once only."""

import json
import stat
from collections.abc import Callable

from tests.client.command.conftest import Command, token_of
from tests.parts.system import System


def test_another_person_approves_and_publishes(
    confhub: Command, server: System, another: Callable[[], str]
) -> None:
    shop, strict = another(), f"strict-{another()}"
    confhub("env", "create", strict, "--approvals", "1")
    place = f"{shop}@{strict}"
    mia = Command(confhub.folder, server.url, token_of(server, "mia", "admin"))
    mia("set", place, "POOL:=1")
    refused = mia("publish", place, "-m", "alone", code=1)
    asked = mia("requests", "ask", place, "-m", "a pool")
    number = asked.out.split()[1]
    own = mia("requests", "approve", number, code=1)

    ours = Command(confhub.folder, server.url)
    assert "Ask with: confhub requests ask" in refused.err
    assert (
        asked.out
        == f"Request {number} for {place} is open. Another person approves it: confhub requests approve {number}\n"
    )
    assert "(request.own" in own.err
    assert f"{place}" in ours("requests", "--mine").out
    ours("requests", "comment", number, "-m", "looks right")
    assert (
        ours("requests", "approve", number).out
        == f"Request {number} is approved. Publish it: confhub requests publish {number}\n"
    )
    assert f"Request {number} for {place}: approved\n" in ours("requests", "show", number).out
    assert "looks right" in ours("requests", "show", number).out
    done = ours("requests", "publish", number, "--wait", "1")
    assert done.out.splitlines()[0] == f"Request {number} is published: {place} r1."
    assert ours("history", place, "--output", "json").document["items"][0]["message"] == "a pool"
    assert "published" in ours("requests", "list", "--place", place).out


def test_a_publish_by_a_request_takes_its_reason(
    confhub: Command, server: System, another: Callable[[], str]
) -> None:
    shop, strict = another(), f"strict-{another()}"
    confhub("env", "create", strict, "--approvals", "1")
    place = f"{shop}@{strict}"
    mia = Command(confhub.folder, server.url, token_of(server, "mia", "admin"))
    mia("set", place, "POOL:=1")
    number = str(mia("requests", "ask", place, "-m", "a pool", "--output", "json").document["id"])
    ours = Command(confhub.folder, server.url)
    ours("requests", "approve", number)

    assert ours("publish", place, "--request", number).out == f"{place} r1 is published (1 key).\n"
    assert "a pool" in ours("history", place).out


def test_a_token_is_told_once_and_does_what_it_reaches(confhub: Command, shop: str) -> None:
    name = f"{shop}-token"
    place = f"{shop}@dev"

    made = confhub("tokens", "create", name, "--reach", f"publish:{place}", "--days", "7")

    secret = made.out.strip()
    assert made.out == f"{secret}\n"
    assert len(secret) > 30
    assert made.err == f"confhub: The token {name} is there. It is told this once.\n"
    assert secret not in confhub("tokens", "show", name, "--output", "json").out
    row = next(line for line in confhub("tokens").out.splitlines() if line.startswith(f"{name} "))
    assert f"see+publish {place}" in row or f"publish+see {place}" in row
    limited = {"CONFHUB_TOKEN": secret, "CONFHUB_TOKEN_FILE": ""}
    confhub("publish", place, "-m", "x", "--set", "A=1", **limited)
    assert (
        confhub("publish", f"{shop}@prod", "-m", "x", "--set", "A=1", code=1, **limited).out == ""
    )
    confhub("tokens", "revoke", name)
    assert confhub("whoami", code=1, **limited).out == ""


def test_a_token_goes_into_a_file_that_its_owner_alone_reads(confhub: Command, shop: str) -> None:
    name = f"{shop}-token"
    ran = confhub("tokens", "create", name, "--unlimited", "-o", "made", "--output", "json")

    path = confhub.folder / "made"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().strip() not in ran.out + ran.err
    assert "token" not in ran.document
    assert confhub("whoami", CONFHUB_TOKEN_FILE=str(path)).out.startswith(f"token:{name} at ")
    old = path.read_text()
    confhub("tokens", "rotate", name, "-o", "made", "--overlap", "0")
    assert path.read_text() != old
    assert confhub("whoami", CONFHUB_TOKEN=old.strip(), CONFHUB_TOKEN_FILE="", code=1).out == ""


def test_a_hook_is_tried_and_its_secret_told_once(confhub: Command, shop: str) -> None:
    name = f"{shop}-hook"
    (confhub.folder / "hook.json").write_text(
        json.dumps({"mapping": {"set": {"TAG": {"pointer": "/tag"}}}})
    )

    made = confhub("hooks", "create", name, f"{shop}@dev", "-f", "hook.json")
    seen = confhub("hooks", "preview", name, "--payload", "-", stdin='{"tag": "1.9"}')

    secret = made.out.strip()
    assert f"listens at /api/v1/hooks/deploy/{name}" in made.err
    assert "  sets TAG=1.9\n" in seen.out
    assert '+ TAG  "1.9"\n' in seen.out
    for words in (["hooks"], ["hooks", "show", name], ["hooks", "show", name, "--output", "json"]):
        assert secret not in confhub(*words).out
    assert "off" in confhub("hooks", "change", name, "--off").out
    assert confhub("hooks", "delete", name).out == f"The hook {name} is removed.\n"
    assert "(not_found" in confhub("hooks", "show", name, code=1).err


def test_a_webhook_of_slack_keeps_its_address_out_of_the_command_line(
    confhub: Command, shop: str
) -> None:
    name = f"{shop}-slack"
    address = "https://hooks.slack.com/services/T000/B000/a-secret-of-slack"

    made = confhub("webhooks", "create", name, "--to-file", "-", "--form", "slack", stdin=address)

    assert made.out == f"The webhook {name} is there.\n"
    assert "a-secret-of-slack" not in confhub("webhooks", "show", name, "--output", "json").out
    assert confhub("webhooks", "show", name).out.splitlines()[1].split()[:2] == [name, "slack"]
    assert (
        "do not go together"
        in confhub("webhooks", "change", name, "--to", "x", "--to-file", "-", code=2).err
    )
    confhub("webhooks", "delete", name)
