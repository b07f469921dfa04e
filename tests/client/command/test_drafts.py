"""get, set, unset, diff, blame, history: what they print, and what programs read."""

import os
import pty
import subprocess
from collections.abc import Callable

from tests.client.command.conftest import PROGRAM, Command
from tests.parts.system import System


def test_values_are_set_with_their_types_and_read_again(confhub: Command, shop: str) -> None:
    (confhub.folder / "cert.pem").write_text("line one\nline two\n")
    (confhub.folder / "limits.json").write_text('{"cpu": 2}')
    place = f"{shop}@dev"

    ran = confhub("set", place, "GREETING=hello = you@home", "POOL:=20", "ON:=true", "NONE:=null",
                  "CERT@cert.pem", "LIMITS:=@limits.json", "EMPTY=")  # fmt: skip

    assert ran.out == (
        f"The draft of {place} has 7 changes, version 1.\n"
        f"Look: confhub diff {place}   Publish: confhub publish {place} -m TEXT\n"
    )
    assert confhub("publish", place, "-m", "first").out == f"{place} r1 is published (7 keys).\n"
    assert confhub("get", place).out == (
        'CERT:="line one\\nline two\\n"\nEMPTY=\nGREETING=hello = you@home\nLIMITS:={"cpu": 2}\n'
        "NONE:=null\nON:=true\nPOOL:=20\n"
    )
    assert confhub("get", place, "CERT").out == "line one\nline two\n\n"
    assert confhub("get", place, "POOL", "ON", "--output", "json").document == {
        "POOL": 20,
        "ON": True,
    }
    assert "POOL='20'\n" in confhub("get", place, "--format", "env").out
    assert confhub("get", place, "--release", "1", "POOL").out == "20\n"


def test_a_key_that_is_not_there_is_1_with_the_one_that_was_meant(
    confhub: Command, shop: str
) -> None:
    confhub("publish", f"{shop}@dev", "-m", "x", "--set", "POOL:=20")

    text = confhub("get", f"{shop}@dev", "POOLS", code=1)
    document = confhub("get", f"{shop}@dev", "POOLS", "--output", "json", code=1)

    assert (text.out, text.err) == (
        "",
        f"confhub: {shop}@dev has no key POOLS. Did you mean POOL?\n",
    )
    assert document.problem["code"] == "command.no_key"
    assert document.out == ""


def test_secrets_come_from_stdin_or_files_and_are_never_told(confhub: Command, shop: str) -> None:
    place = f"{shop}@dev"
    (confhub.folder / "pw").write_text("horse-of-file")

    confhub("set", place, "--secret", "PIPED", stdin="horse-of-stdin\n")
    confhub("set", place, "--secret", "FILED@pw")
    told = [
        confhub("diff", place), confhub("diff", place, "--output", "json"),
        confhub("publish", place, "-m", "secrets"), confhub("get", place),
        confhub("get", place, "PIPED"), confhub("export", place), confhub("blame", place, "PIPED"),
        confhub("diff", place, "1", "--markdown"), confhub("get", place, "--draft"),
    ]  # fmt: skip

    assert all("horse" not in ran.out + ran.err for ran in told)
    assert "PIPED  (secret " in told[3].out
    assert "stdin is empty" in confhub("set", place, "--secret", "X", code=2).err
    assert "Only one secret" in confhub("set", place, "--secret", "X", "Y", stdin="z", code=2).err


def test_a_secret_from_stdin_is_what_was_piped(confhub: Command, server: System, shop: str) -> None:
    confhub("set", f"{shop}@dev", "--secret", "PIPED", stdin="correct horse\n")
    confhub("publish", f"{shop}@dev", "-m", "secret")

    status, answer = server.call(
        "POST", f"/services/{shop}/environments/dev/reveal", {"key": "PIPED", "reason": "a test"}
    )
    assert (status, answer["value"]) == (200, "correct horse")


def test_a_draft_is_compared_with_what_a_key_shows_now(confhub: Command, shop: str) -> None:
    place, layer = f"{shop}@dev", f"service/{shop}"
    confhub("set", layer, "REGION=eu", "TEAM=a")
    confhub("publish", layer, "-m", "the service's")
    confhub("publish", place, "-m", "own", "--set", "POOL:=1", "--set", "OLD=x", "--set", "TEAM=b")
    confhub("set", place, "POOL:=2", "REGION=us", "NEW:=[1]")
    confhub("unset", place, "OLD", "TEAM")

    text = confhub("diff", place)
    markdown = confhub("diff", place, "--markdown", "--exit-code", code=1)
    document = confhub("diff", place, "--output", "json").document

    assert text.out == (
        '+ NEW  [1]\n- OLD  "x"\n~ POOL  1 → 2\n~ REGION  "eu" → "us"\n~ TEAM  "b" → "a"\n'
    )
    assert markdown.out == (
        "| key | what | before | after |\n| --- | --- | --- | --- |\n"
        '| `NEW` | added |  | `[1]` |\n| `OLD` | removed | `"x"` |  |\n| `POOL` | changed | `1` | `2` |\n'
        '| `REGION` | changed | `"eu"` | `"us"` |\n| `TEAM` | changed | `"b"` | `"a"` |\n'
    )
    assert document["place"] == place
    assert document["changes"][2] == {"key": "POOL", "kind": "changed", "old": 1, "new": 2}
    assert confhub("diff", layer, "--exit-code").out == f"{layer}: nothing differs.\n"


def test_releases_are_compared_as_git_does(confhub: Command, shop: str) -> None:
    place = f"{shop}@dev"
    for number in (1, 2, 3):
        confhub("publish", place, "-m", f"n{number}", "--set", f"N:={number}")

    assert confhub("diff", place, "3").out == "~ N  2 → 3\n"
    assert confhub("diff", place, "1", "3").out == "~ N  1 → 3\n"
    assert confhub("diff", place, "3", "1").out == "~ N  3 → 1\n"
    assert "(not_found" in confhub("diff", place, "9", code=1).err


def test_history_and_blame_tell_who_and_why(confhub: Command, shop: str) -> None:
    place, layer = f"{shop}@dev", f"service/{shop}"
    assert confhub("history", place).out == f"{place} has no release yet.\n"
    confhub("publish", layer, "-m", "shared", "--set", "POOL:=1")
    confhub("publish", place, "-m", "own", "--set", "POOL:=2")
    confhub("publish", place, "-m", "more", "--set", "POOL:=3")
    confhub("rollback", place, "1", "-m", "")

    rows = [line.split() for line in confhub("history", place).out.splitlines()]
    assert [row[0] for row in rows] == ["RELEASE", *(str(n) for n in range(len(rows) - 1, 0, -1))]
    assert "restores r1" in confhub("history", place).out
    document = confhub("history", place, "--limit", "1", "--output", "json").document
    assert len(document["items"]) == 1
    assert document["next"]
    blamed = confhub("blame", place, "POOL").out.splitlines()
    assert blamed[1].startswith(("POOL", "  hides"))
    assert any(f"service {shop}" in line and "shared" in line for line in blamed)
    assert "has no key" in confhub("blame", place, "NO", code=1).err
    assert "layer" in confhub("blame", layer, code=2).err


def test_what_somebody_wrote_moves_no_cursor(confhub: Command, shop: str) -> None:
    place = f"{shop}@dev"
    confhub("publish", place, "-m", "red \x1b[31m\r\n alert", "--set", "A=\x1b]0;title\x07")

    for words in (["history", place], ["get", place], ["blame", place], ["diff", place, "1"]):
        assert not set("\x1b\r\x07") & set(confhub(*words).out)


def test_a_refusal_of_the_server_is_told_whole(
    confhub: Command, another: Callable[[], str]
) -> None:
    shop = another()
    text = confhub("set", f"{shop}@nowhere", "A=1", code=1)
    document = confhub("set", f"{shop}@nowhere", "A=1", "--output", "json", code=1)

    assert text.err.startswith("confhub: There is no ")
    assert "(not_found, request " in text.err
    assert document.problem["status"] == 404
    assert {"code", "detail", "request_id", "title"} <= document.problem.keys()
    assert text.out == document.out == ""


def test_a_draft_that_another_release_overtook_names_its_keys(confhub: Command, shop: str) -> None:
    place = f"{shop}@dev"
    confhub("set", place, "POOL:=1")
    confhub("publish", place, "-m", "quicker", "--set", "POOL:=2")

    ran = confhub("publish", place, "-m", "late", code=1)

    assert "  POOL: Also changed by r1.\n" in ran.err
    assert "(draft.stale, request " in ran.err
    assert confhub("get", place, "POOL").out == "2\n"


def test_colours_are_for_terminals(confhub: Command, shop: str) -> None:
    place = f"{shop}@dev"
    confhub("set", place, "POOL:=1")

    master, slave = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "diff", place], stdout=slave, stderr=slave, cwd=confhub.folder,
        env={**confhub.environment, "TERM": "xterm-256color"},
    )  # fmt: skip
    os.close(slave)
    assert process.wait(60) == 0
    said = os.read(master, 10_000).decode()
    os.close(master)

    assert "\x1b[32m+ POOL  1\x1b[0m" in said
    assert confhub("diff", place).out == "+ POOL  1\n"


def test_imports_and_exports_of_other_tools(confhub: Command, shop: str) -> None:
    place = f"{shop}@dev"
    (confhub.folder / "old.env").write_text("POOL=20\nHOST=db\n")

    dry = confhub("import", place, "old.env", "--dry-run")
    assert (
        dry.out
        == f'Read as env: 2 keys of the draft of {place} would change, 0 are so already.\n+ HOST  "db"\n+ POOL  "20"\n'
    )
    assert confhub("diff", place).out == f"{place}: nothing differs.\n"
    done = confhub(
        "import",
        place,
        "-",
        "--source",
        "env",
        stdin="POOL=20\n",
    )
    assert done.out.startswith("Read as env: 1 key of the draft")
    confhub("publish", place, "-m", "imported")

    assert confhub("export", place, "--format", "compose").out.strip() != ""
    assert confhub("export", place, "--format", "env", "-o", "out.env").out == "Wrote out.env.\n"
    assert "POOL='20'" in (confhub.folder / "out.env").read_text()
    several = confhub("import", place, "-", "--source", "compose", code=1, stdin="services:\n  web:\n    environment: [A=1]\n  db:\n    environment: [B=1]\n")  # fmt: skip
    assert (
        "--item: write one of web, db" in several.err
        or "--item: write one of db, web" in several.err
    )
