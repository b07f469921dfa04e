"""`--deliver env`: a process's environment does not change while it lives, and nothing says it does."""

import time

from tests.parts.publisher import Publisher
from tests.parts.servers import wait_until
from tests.watchers.run.conftest import Begin, Running

COMMAND = ["sh", "-c", "echo $A $B; exec sleep 60"]


def waits_for(running: Running, release: int, *names: str) -> None:
    wait_until(
        lambda: (
            (receipt := running.receipt()) is not None
            and (receipt.release, receipt.state) == (release, "delivered")
            and receipt.pending_restart == names
        ),
        what=f"release {release} waits for a restart of {names}",
    )


def test_what_changed_waits_for_a_restart_and_is_confirmed_after_it(
    publisher: Publisher, begin: Begin
) -> None:
    publisher.publish({"A": 1, "B": 1})
    running = begin(publisher, ["--deliver", "env"], COMMAND)
    running.until("confirmed", 1)

    publisher.publish({"A": 2, "B": 1})
    waits_for(running, 2, "A")
    publisher.publish({"A": 2, "B": 2})
    waits_for(running, 3, "A", "B")  # compared with what it began with, not with release 2
    time.sleep(0.5)  # more than a soak
    status = running.status()
    assert status is not None
    assert (status.running, status.target) == (1, 3)
    assert status.problems == ("Release 3 waits for a restart: A, B.",)
    assert status.receipt is not None
    assert (status.receipt.applied_at, status.receipt.confirmed_at) == (None, None)
    assert running.stop()[1] == "1 1\n"

    running = begin(publisher, ["--deliver", "env"], COMMAND)
    status = running.until("confirmed", 3)
    assert (status.running, status.problems) == (3, ())
    assert running.stop()[1] == "2 2\n"


def test_what_is_as_it_began_again_needs_no_restart(publisher: Publisher, begin: Begin) -> None:
    publisher.publish({"A": 1})
    running = begin(publisher, ["--deliver", "env"], COMMAND)
    running.until("confirmed", 1)
    publisher.publish({"A": 2})
    waits_for(running, 2, "A")

    publisher.publish({"A": 1})

    assert running.until("confirmed", 3).problems == ()


def test_with_restart_it_begins_anew_with_the_new_environment(
    publisher: Publisher, begin: Begin
) -> None:
    publisher.publish({"A": 1, "B": 1})
    running = begin(publisher, ["--deliver", "env", "--reload", "restart"], COMMAND)
    first = running.until("confirmed", 1)

    publisher.publish({"A": 2, "B": 1})
    second = running.until("confirmed", 2)

    assert first.pid != second.pid
    assert second.running == 2
    assert running.stop()[1] == "1 1\n2 1\n"
