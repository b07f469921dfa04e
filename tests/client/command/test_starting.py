"""Both sides start as they always did: neither knows the other's libraries."""

import subprocess
import sys

import pytest

from tests.client.command.conftest import Command
from tests.watchers.served import ROOT

IMPORTED = """
import sys, importlib
from confhub.client.command import main
main.commands.get_command(None, sys.argv[1])
print(" ".join(sorted({name.split(".")[0] for name in sys.modules if sys.modules[name] is not None})))
"""
HTTP = {"httpx", "rich", "httpcore", "keyring", "yaml"}
CONTAINERS = {"etcd3", "grpc", "docker", "structlog", "cryptography", "jinja2", "django"}


def imported(command: str) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTED, command],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(ran.stdout.split())


@pytest.mark.parametrize("command", ["agent", "run"])
def test_the_container_side_has_no_http_client_and_no_colours(command: str) -> None:
    found = imported(command)

    assert not found & HTTP
    assert "etcd3" in found


@pytest.mark.parametrize("command", ["publish", "apply", "login", "watch", "tokens", "webhooks"])
def test_the_others_have_no_etcd_and_no_engine(command: str) -> None:
    found = imported(command)

    assert not found & (CONTAINERS | {"keyring"})  # rich comes with httpx
    assert "httpx" in found


def test_help_imports_neither(confhub: Command) -> None:
    script = "import sys; sys.argv = ['confhub', '--help']\nfrom confhub.client.command.main import main\ntry: main()\nexcept SystemExit: print(sorted({n.split('.')[0] for n in sys.modules}), file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)  # fmt: skip

    assert not set(eval(ran.stderr)) & (HTTP | CONTAINERS)  # noqa: S307  # a list that we printed
    for word in ("publish", "rollback", "agent", "completion", "Exit codes: 0 done"):
        assert word in ran.stdout


def test_the_container_side_answers_from_both_programs(confhub: Command) -> None:
    ours = confhub("run", "--help")
    theirs = subprocess.run([sys.executable, "-m", "watchers.cli", "run", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)  # fmt: skip

    assert ours.out.splitlines()[1:] == theirs.stdout.splitlines()[1:]
    assert "--service" in ours.out


def test_the_threads_of_the_container_side_change_places_as_fast_as_before() -> None:
    script = "import sys\nfrom confhub.client.command import main\nmain.commands.get_command(None, 'run')\nprint(sys.getswitchinterval())"
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)  # fmt: skip

    assert ran.stdout == "0.0005\n"


def test_the_package_gives_its_names_when_they_are_asked_for() -> None:
    script = "import sys, confhub.client\nassert 'confhub.client.config' not in sys.modules\nfrom confhub.client import *\nprint(Config.__module__, BadValue.__module__, Snapshot.__module__)\ntry: confhub.client.Nothing\nexcept AttributeError as error: print(error)"
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)  # fmt: skip

    assert ran.stdout.splitlines() == [
        "confhub.client.config confhub.client.errors confhub.client.snapshot",
        "module 'confhub.client' has no attribute 'Nothing'",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["publsh"], "Did you mean 'publish'?"),
        (["env", "creat"], "Did you mean 'create'?"),
        (["publish", "a@b", "-m", "x", "--wiat"], "Did you mean one of: '--image', '--wait'?"),
        (["get"], "PLACE is missing"),
        (["get", "checkout/dev"], "Did you mean checkout@dev?"),
        (["get", "environments/dev"], "Did you mean environment/dev?"),
        (["status", "global"], "global is a layer"),
        (["publish", "a@b"], "write why"),
        (["publish", "a@b", "extra", "-m", "x"], "no use for 'extra'"),
        (["unset", "a@b"], "belongs KEY…"),
        (["set", "a@b", "KEY"], "'KEY' sets nothing"),
        (["set", "a@b", "1KEY=x"], "is not a key"),
        (["set", "a@b", "A=1", "A=2"], "set twice"),
        (["set", "a@b", "A:={"], "this is no JSON"),
        (["set", "a@b", "A:=NaN"], "NaN is no number that JSON has"),
        (["set", "a@b", "A:=1e999"], "too large a number"),
        (["set", "a@b", 'A:={"x":1,"x":2}'], "stands there twice"),
        (["set", "a@b", "A@nothing-here"], "No such file"),
        (["set", "a@b", "--secret", "A=hunter2"], "in the command line is seen"),
        (["rollback", "a@b", "first"], "number of one release"),
        (["diff", "a@b", "1", "2", "3"], "two at most"),
        (["publish", "a@b", "-m", "x", "--wait=soon"], "not a valid float"),
        (["publish", "a@b", "-m", "x", "--image", "shop"], "NAME@DIGEST"),
        (["publish", "a@b", "-m", "x", "--target", "a@b"], "--target is for layers"),
        (["export", "a@b", "global", "--format", "env"], "one PLACE"),
        (["tokens", "create", "ci"], "--reach"),
        (["tokens", "create", "ci", "--reach", "see:shop"], "VERBS:SERVICE@ENVIRONMENT"),
        (["hooks", "change", "x"], "Nothing is changed"),
        (["webhooks", "create", "x"], "--to"),
        (["completion", "tcsh"], "'bash', 'zsh', 'fish'"),
        (["login", "nowhere"], "is no address"),
        (["login", "https://mia:pass@host"], "Leave them out"),
    ],
    ids=lambda given: "-".join(given)[:40] if isinstance(given, list) else "",
)  # fmt: skip
def test_wrong_usage_is_2_and_says_what_was_meant(
    confhub: Command, words: list[str], said: str
) -> None:
    ran = confhub(*words, code=2)

    assert said in ran.err
    assert ran.out == ""
    assert "hunter2" not in ran.err


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"CONFHUB_URL": ""}, "There is no address"),
        ({"CONFHUB_URL": "ftp://x"}, "is no address"),
        ({"CONFHUB_TOKEN": "x"}, "both set: keep one"),
        ({"CONFHUB_TOKEN_FILE": "/nothing"}, "No such file"),
        ({"CONFHUB_TOKEN": "two words", "CONFHUB_TOKEN_FILE": ""}, "holds no token"),
        ({"CONFHUB_RETRY_S": "soon"}, "CONFHUB_RETRY_S"),
        ({"CONFHUB_PLACE": "here"}, "CONFHUB_PLACE"),
    ],
    ids=["no-url", "odd-url", "two-tokens", "no-file", "odd-token", "odd-retry", "odd-place"],
)
def test_a_variable_that_cannot_be_used_is_named(
    confhub: Command, variables: dict[str, str], said: str
) -> None:
    ran = confhub("history", code=2, **{"CONFHUB_PLACE": "a@dev", **variables})

    assert said in ran.err
    assert "two words" not in ran.err


def test_a_place_of_the_environment_stands_for_the_first_word(confhub: Command, shop: str) -> None:
    place = {"CONFHUB_PLACE": f"{shop}@dev"}
    confhub("set", "POOL:=20", **place)
    confhub("publish", "-m", "first", **place)

    assert confhub("get", "POOL", **place).out == "20\n"
    assert confhub("get", "global", "POOL", code=1, **place).err.startswith(
        "confhub: global has no"
    )
