"""A function in a limited child: it answers, or one error says which limit it reached."""

import os
import select
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from confhub.core import limited
from confhub.core.limited import FunctionFailed, Limited, Limits

HERE = "tests.core.limited_functions:"
SHORT = Limits(cpu_s=0.2, output_bytes=1 << 20)


def call(function: str, *args: Any, limits: Limits = limited.USUAL) -> Any:
    return limited.call(HERE + function, *args, limits=limits)


@pytest.fixture(autouse=True)
def no_child_left() -> Iterator[None]:
    yield
    limited.end_all()
    assert children() == []


def children() -> list[int]:
    """The children of this process that run limited_child.py, by /proc."""
    mine = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            command = status.with_name("cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        if parent == os.getpid() and b"limited_child.py" in command:
            mine.append(int(status.parent.name))
    return mine


def refused(function: str, *args: Any, limits: Limits = SHORT) -> Limited:
    with pytest.raises(Limited) as caught:
        call(function, *args, limits=limits)
    assert call("echo", 1) == [1]  # the next call is none the worse for it
    return caught.value


def test_arguments_and_answer_pass_as_json() -> None:
    args = [None, True, 1, 1.5, "ä\n\x00", [1, [2]], {"a": {"b": []}}]
    assert call("echo", *args) == args


def test_a_declared_refusal_is_an_answer() -> None:
    assert call("refuse") == {"error": {"code": "no", "detail": "I would rather not."}}


def test_a_loop_is_stopped_by_its_computing_time() -> None:
    error = refused("spin")
    assert (error.limit, error.code, error.status) == ("cpu", "limited", 422)
    assert error.detail == "It was stopped after 0.2 s of computing. Make it simpler or smaller."
    assert error.extra == {"limit": "cpu"}


def test_a_pattern_that_never_ends_is_stopped() -> None:
    assert refused("catastrophic_pattern").limit == "cpu"


def test_waiting_is_stopped_by_the_clock() -> None:
    assert refused("sleep", limits=Limits(wall_s=0.3)).limit == "time"


def test_memory_is_bounded() -> None:
    error = refused("hoard")
    assert error.limit == "memory"
    assert "512 MiB" in error.detail


def test_a_flood_of_output_is_refused() -> None:
    error = refused("flood")
    assert error.limit == "output"
    assert "1 MiB" in error.detail


def test_input_is_bounded_before_a_child_is_asked() -> None:
    assert refused("echo", "x" * 2000, limits=Limits(input_bytes=1000)).limit == "input"


def test_endless_recursion_is_one_error() -> None:
    assert refused("recurse").limit == "depth"


@pytest.mark.parametrize("levels", [5_000, 50_000])
def test_a_deep_answer_is_one_error(levels: int) -> None:
    assert refused("nested", levels).limit == "depth"


def test_a_deep_argument_is_one_error() -> None:
    deep: Any = 0
    for _ in range(50_000):
        deep = [deep]
    assert refused("echo", deep).limit == "depth"


def test_a_child_that_is_killed_is_one_error() -> None:
    assert refused("die").limit == "ended"


def test_a_child_that_leaves_without_an_answer_is_asked_for_once_more_only() -> None:
    assert refused("leave").limit == "ended"


def test_a_mistake_in_the_function_is_told_without_the_value() -> None:
    with pytest.raises(FunctionFailed) as caught:
        call("fail", "hunter2")
    assert "KeyError in fail" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert call("echo", 1) == [1]


def test_an_unknown_function_is_a_mistake() -> None:
    with pytest.raises(FunctionFailed, match="AttributeError"):
        call("nothing")
    with pytest.raises(ValueError, match=r"not package\.module:function"):
        limited.call("os.system")


def test_what_it_prints_is_not_its_answer() -> None:
    assert call("talk") == "heard"


def test_it_writes_no_file_and_starts_no_process(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.touch()
    assert call("write_file", str(out)) == "OSError"
    assert out.read_bytes() == b""
    if os.getuid() != 0:  # the kernel does not count root's
        assert call("start_process") == "BlockingIOError"


def test_it_loads_no_django() -> None:
    assert call("modules") == []


def test_a_child_serves_many_calls_and_is_replaced_after_a_limit() -> None:
    first = call("pid")
    assert first != os.getpid()
    assert call("pid") == first
    refused("spin")
    assert call("pid") != first


def test_a_child_that_died_while_idle_is_replaced() -> None:
    first = call("pid")
    gone = os.pidfd_open(first)
    os.kill(first, 9)
    assert select.select([gone], [], [], 20)[0]
    os.close(gone)
    assert call("pid") != first


def test_a_child_is_replaced_after_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "MAX_CALLS", 2)
    assert len({call("pid") for _ in range(4)}) == 2


def test_calls_at_once_get_their_own_answers() -> None:
    with ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda n: call("echo", n), range(60)))
    assert answers == [[n] for n in range(60)]
    assert len(children()) <= limited.MAX_IDLE


def test_one_that_is_stopped_does_not_touch_another() -> None:
    outcomes: list[Any] = []

    def spin() -> None:
        try:
            call("spin", limits=SHORT)
        except Limited as error:
            outcomes.append(error.limit)

    threads = [threading.Thread(target=spin) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert [call("echo", n) for n in range(5)] == [[n] for n in range(5)]
    for thread in threads:
        thread.join()
    assert outcomes == ["cpu", "cpu"]


def test_more_than_the_seats_wait_and_then_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "_pool", pool := limited._Pool())
    for _ in range(limited.AT_ONCE):
        pool._seats.acquire()
    with pytest.raises(Limited, match="Too many") as caught:
        call("echo", 1, limits=Limits(wall_s=0.05))
    assert caught.value.limit == "busy"


def test_a_fork_shares_no_child_and_ends_none() -> None:
    first = call("pid")
    reader, writer = os.pipe()
    if (forked := os.fork()) == 0:
        try:
            os.write(writer, str(call("pid")).encode())
            limited.end_all()
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(forked, 0)
    with os.fdopen(reader) as told:
        in_fork = int(told.read())
    assert in_fork != first
    assert call("pid") == first  # the fork's end did not take it away


def test_children_end_with_a_process_that_is_killed() -> None:
    reader, writer = os.pipe()
    if (forked := os.fork()) == 0:
        os.write(writer, str(call("pid")).encode().ljust(20))
        os.kill(os.getpid(), 9)
    os.close(writer)
    os.waitpid(forked, 0)
    with os.fdopen(reader) as told:
        orphan = int(told.read(20))
    waiter = os.pidfd_open(orphan) if Path(f"/proc/{orphan}").exists() else None
    if waiter is not None:
        assert select.select([waiter], [], [], 20)[0]  # its input ended, and so does it
        os.close(waiter)
