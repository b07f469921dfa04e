"""Labels: understood whole, or not followed at all, with a sentence for each that is wrong."""

import signal

import pytest

from watchers.labels import Reload, Wishes, read_labels
from watchers.render import Files

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
        files=Files(("env", "json")), reload=Reload(signal.SIGHUP),
        directory="/run/confhub", soak_s=2.0, exe=None,
    )  # fmt: skip


def test_everything_can_be_said() -> None:
    read = read_labels(
        {
            **OURS,
            "confhub.deliver": "volume:/etc/app/conf",
            "confhub.files": "json,entry:app.ini",
            "confhub.reload": "signal:sigusr1",
            "confhub.confirm": "pid",
            "confhub.soak": "500ms",
            "confhub.process": "exe=nginx",
            "com.example.other": "not ours",
        }
    )

    assert read is not None
    assert read.wishes == Wishes(
        files=Files(("json",), ("app.ini",)), reload=Reload(signal.SIGUSR1),
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
        ({"confhub.reload": "profile:nginx"}, "not offered by this version"),
        ({"confhub.reload": "signal:HUP ; restart"}, "not offered by this version"),
        ({"confhub.deliver": "copy:/x"}, "not offered by this version"),
        ({"confhub.deliver": "volume:etc"}, "absolute path"),
        ({"confhub.deliver": "volume:/etc/../root"}, "absolute path"),
        ({"confhub.deliver": "volume:/"}, "absolute path"),
        ({"confhub.files": "yaml"}, "planned"),
        ({"confhub.confirm": "health"}, "not offered by this version"),
        ({"confhub.confirm": "luck"}, "is no way to confirm"),
        ({"confhub.soak": "soon"}, "write a time"),
        ({"confhub.soak": "2h"}, "write a time"),
        ({"confhub.soak": "11m"}, "write a time"),
        ({"confhub.process": "nginx"}, "write exe=NAME"),
        ({"confhub.check": "exec:true"}, "planned"),
        ({"confhub.engine-kill": "true"}, "planned"),
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
