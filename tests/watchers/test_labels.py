"""Labels: understood whole, or not followed at all, with a sentence for each that is wrong."""

import signal

import pytest

from watchers.check.commands import CommandCheck
from watchers.confirm.asked import HttpProof
from watchers.labels import Wishes, read_labels
from watchers.reload.asked import Restart
from watchers.reload.signals import Signal
from watchers.render.release import Files

OURS = {
    "confhub.service": "shop",
    "confhub.environment": "dev",
    "confhub.reload": "signal:HUP",
}


def test_the_defaults_are_what_the_documentation_says() -> None:
    read = read_labels(OURS)

    assert read is not None
    assert read.problems == ()
    assert read.wishes == Wishes(
        files=Files(("env", "json")), ladder=(Signal(signal.SIGHUP),),
        directory="/run/confhub", soak_s=2.0, exe=None,
    )  # fmt: skip


def test_everything_can_be_said() -> None:
    read = read_labels(
        {
            **OURS,
            "confhub.deliver": "volume:/etc/app/conf",
            "confhub.files": "json,entry:app.ini",
            "confhub.reload": "signal:sigusr1 ; restart",
            "confhub.check": "exec:app --check '{dir}/app.ini'",
            "confhub.confirm": "http:GET :8080/version contains release {release}",
            "confhub.soak": "500ms",
            "confhub.process": "exe=nginx",
            "com.example.other": "not ours",
        }
    )

    assert read is not None
    assert read.wishes == Wishes(
        files=Files(("json",), ("app.ini",)), ladder=(Signal(signal.SIGUSR1), Restart()),
        check=CommandCheck(("app", "--check", "{dir}/app.ini")),
        proof=HttpProof("GET", 8080, "/version", "release {release}"),
        directory="/etc/app/conf", soak_s=0.5, exe="nginx",
    )  # fmt: skip


@pytest.mark.parametrize("labels", [{}, {"confhub.reload": "signal:HUP"}, {"other": "x"}])
def test_a_container_with_neither_name_is_none_of_ours(labels: dict[str, str]) -> None:
    assert read_labels(labels) is None


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ({"confhub.environment": ""}, "Both confhub.service and confhub.environment are needed"),
        ({"confhub.service": "Shop!"}, "names no service"),
        ({"confhub.reload": ""}, "There is no default"),
        ({"confhub.reload": "HUP"}, "is no way to reload"),
        ({"confhub.reload": "signal:NOPE"}, "is no way to reload"),
        ({"confhub.reload": "signal:KILL"}, "no program reads its files again on KILL"),
        ({"confhub.reload": "profile:nope"}, "names no profile"),
        ({"confhub.reload": "signal:HUP ; none"}, "stands alone"),
        ({"confhub.reload": "http:POST 9090/x"}, "own port and a path"),
        ({"confhub.reload": "exec:"}, "names no program"),
        ({"confhub.reload": "exec:sh '"}, "No closing quotation"),
        ({"confhub.deliver": "copy:x"}, "names no directory"),
        ({"confhub.deliver": "volume:etc"}, "absolute path"),
        ({"confhub.deliver": "volume:/etc/../root"}, "absolute path"),
        ({"confhub.deliver": "volume:/"}, "absolute path"),
        ({"confhub.files": "xml"}, "no format"),
        ({"confhub.confirm": "http:GET :99999/"}, "own port and a path"),
        ({"confhub.confirm": "luck"}, "is no way to confirm"),
        ({"confhub.soak": "soon"}, "write a time"),
        ({"confhub.soak": "2h"}, "write a time"),
        ({"confhub.soak": "11m"}, "write a time"),
        ({"confhub.process": "nginx"}, "write exe=NAME"),
        ({"confhub.check": "true"}, "is no check"),
        ({"confhub.engine-kill": "yes"}, "write true or false"),
        ({"confhub.relaod": "x"}, "no label that ConfHub knows"),
    ],
)
def test_a_label_that_cannot_be_followed_is_a_problem(labels: dict[str, str], says: str) -> None:
    read = read_labels({**OURS, **labels})

    assert read is not None
    assert read.wishes is None
    assert any(says in problem for problem in read.problems), read.problems


def test_every_wrong_label_is_told_at_once() -> None:
    read = read_labels({**OURS, "confhub.files": "xml", "confhub.soak": "x", "confhub.odd": ""})

    assert read is not None
    assert len(read.problems) == 3
