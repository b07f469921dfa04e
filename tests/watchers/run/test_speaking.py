"""What a supervised process says of itself proves a release, or disproves it: notify, report."""

import os
import shutil
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from tests.parts.publisher import Publisher
from tests.parts.require import missing
from tests.parts.servers import free_port, wait_until
from tests.watchers.run.conftest import PYTHON, Begin, Running
from watchers import moments
from watchers.confirm.reported import Reports
from watchers.run.listening import Ears, notice_of, pass_on, report_of

GOOD = ["RELOADING=1\nMONOTONIC_USEC={now}", "READY=1\nSTATUS=serving"]


def begin_speaker(begin: Begin, publisher: Publisher, kind: str, say: Any, **more: Any) -> Running:
    publisher.publish({"SAY": say})
    options = ["--confirm", kind, "--reload", "signal:HUP"]
    return begin(publisher, options, [PYTHON, "-m", "tests.watchers.run.speaker", kind], **more)


def reason_of(running: Running, release: int) -> str:
    receipt = running.until("failed", release).receipt
    assert receipt is not None
    assert receipt.stage == "confirm"
    return receipt.reason


# ── notify ────────────────────────────────────────────────────────────────────────────────────────


def test_ready_proves_a_start_and_reloading_then_ready_a_reload(
    begin: Begin, publisher: Publisher
) -> None:
    running = begin_speaker(begin, publisher, "notify", None)
    running.until("applied", 1)
    time.sleep(1)  # five soaks
    receipt = running.receipt()
    assert receipt is not None
    assert receipt.state == "applied", "it has not said READY=1"

    publisher.publish({"SAY": ["READY=1"]})
    running.until("applied", 1)  # a newer release waits for the one in flight
    running.stop()

    running = begin_speaker(begin, publisher, "notify", ["READY=1"])
    running.until("confirmed", 3)
    publisher.publish({"SAY": GOOD})
    assert running.until("confirmed", 4).running == 4


@pytest.mark.parametrize(
    ("say", "reason"),
    [
        (["RELOADING=1", "READY=1\nERRNO=98\nSTATUS=port 80 is taken"], "ERRNO=98: port 80"),
        (["RELOADING=1", "STATUS=no such user\nERRNO=2"], "ERRNO=2: no such user"),
        (["RELOADING=1\nMONOTONIC_USEC={now}", "READY=1\nSTATUS=Reload failed!"], "Reload failed!"),
    ],
    ids=["ready with an error", "an error alone", "a status that says so"],
)
def test_a_reload_that_failed_in_its_own_words_is_taken_back(
    begin: Begin, publisher: Publisher, say: list[str], reason: str
) -> None:
    running = begin_speaker(begin, publisher, "notify", GOOD)
    running.until("confirmed", 1)

    publisher.publish({"SAY": say})

    assert reason in reason_of(running, 2)
    status = running.status()
    assert status is not None
    assert status.running == 1


HAPROXY = """
global
  stats socket {socket} level admin
defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 5s
frontend web
  bind 127.0.0.1:{port}
  http-request return status 200 content-type text/plain string "{word}"
"""


@pytest.mark.faults
def test_haproxy_that_is_ready_again_after_a_failed_reload_is_not_believed(
    begin: Begin, publisher: Publisher, tmp_path: Path
) -> None:
    if shutil.which("haproxy") is None:
        missing("haproxy", "it is not installed.")
    port, files = free_port(), tmp_path / "files"

    def text(word: str) -> str:
        return HAPROXY.format(socket=tmp_path / "admin", port=port, word=word)

    publisher.publish({"haproxy.cfg": text("one")})
    running = begin(
        publisher,
        ["--dir", str(files), "--files", "entry:haproxy.cfg", "--confirm", "notify",
         "--reload", "signal:USR2"],
        ["haproxy", "-Ws", "-f", str(files / "haproxy.cfg")],
    )  # fmt: skip
    first = running.until("confirmed", 1)

    publisher.publish({"haproxy.cfg": text("two")})
    second = running.until("confirmed", 2)
    assert second.pid == first.pid
    wait_until(lambda: answer(port) == "two", what="the new workers serve")

    publisher.publish({"haproxy.cfg": text("three") + "\n  nonsense here\n"})
    assert "worker processes are those from before" in reason_of(running, 3)
    wait_until(lambda: answer(port) == "two", what="it serves what it served")


def answer(port: int) -> str:
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as held:
            held.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return held.makefile("rb").read().decode().rpartition("\r\n\r\n")[2]
    except OSError:
        return ""


def test_what_it_says_is_passed_on_to_whoever_supervises_us(
    begin: Begin, publisher: Publisher, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outer:
        outer.bind(str(tmp_path / "outer"))
        outer.settimeout(40)
        begin_speaker(
            begin, publisher, "notify", ["READY=1\nMAINPID=1\nSTATUS=up"],
            env={"NOTIFY_SOCKET": str(tmp_path / "outer")},
        )  # fmt: skip

        assert outer.recv(1000) == b"READY=1\nSTATUS=up"


# ── report ────────────────────────────────────────────────────────────────────────────────────────


def test_a_report_of_this_very_release_proves_it(begin: Begin, publisher: Publisher) -> None:
    running = begin_speaker(begin, publisher, "report", {"ok": True})
    running.until("confirmed", 1)

    publisher.publish({"SAY": {"ok": True, "pending_restart": ["PORT"]}})
    running.until("delivered", 2)
    wait_until(
        lambda: (receipt := running.receipt()) is not None and receipt.pending_restart == ("PORT",),
        what="the receipt names what waits",
    )
    publisher.publish({"SAY": {"ok": True}})
    running.until("confirmed", 3)


def test_a_report_that_is_not_ok_takes_the_release_back(begin: Begin, publisher: Publisher) -> None:
    running = begin_speaker(begin, publisher, "report", {"ok": True})
    running.until("confirmed", 1)

    publisher.publish({"SAY": {"ok": False, "error": "pool of -1"}})

    assert "The process reported: pool of -1" in reason_of(running, 2)


def test_a_report_of_another_release_proves_nothing(begin: Begin, publisher: Publisher) -> None:
    running = begin_speaker(begin, publisher, "report", {"ok": True, "release": 7})
    running.until("applied", 1)
    time.sleep(1)  # five soaks

    receipt = running.receipt()
    assert receipt is not None
    assert receipt.state == "applied"


# ── the sockets ───────────────────────────────────────────────────────────────────────────────────


def said(path: str, *texts: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
        for text in texts:
            held.sendto(text, path)


def listen(ears: Ears) -> None:
    for _, take in ears.sources():
        take()


def test_the_sockets_are_this_users_alone_and_gone_afterwards(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        ears = Ears(tmp_path / "state", Reports())
    finally:
        os.umask(before)
    paths = [Path(path) for path in ears.environment().values()]

    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600, 0o600]
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    ears.close()
    assert not any(path.exists() for path in paths)


def test_a_state_directory_with_a_long_name_still_has_sockets(tmp_path: Path) -> None:
    reports = Reports()
    ears = Ears(tmp_path / ("long" * 30), reports)
    path = ears.environment()["NOTIFY_SOCKET"]

    said(path, b"READY=1")
    listen(ears)

    assert len(os.fsencode(path)) < 108
    assert [one.ready for one in reports.notices(since_ns=0)] == [True]
    ears.close()
    assert not Path(path).parent.exists()


def test_what_a_killed_supervisor_left_is_removed_and_what_another_uses_is_not(
    tmp_path: Path,
) -> None:
    other = Ears(tmp_path, Reports())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(tmp_path / "notify-left.sock"))

    ears = Ears(tmp_path, Reports())

    assert not (tmp_path / "notify-left.sock").exists()
    assert all(Path(path).exists() for path in other.environment().values())
    other.close()
    ears.close()


def test_what_was_sent_before_counts_as_before_however_late_it_is_read(tmp_path: Path) -> None:
    reports = Reports()
    ears = Ears(tmp_path, reports)
    said(ears.environment()["NOTIFY_SOCKET"], b"READY=1")
    time.sleep(0.05)
    between_ns = moments.boot_ns()
    said(ears.environment()["NOTIFY_SOCKET"], b"RELOADING=1")

    listen(ears)

    assert [one.reloading for one in reports.notices(since_ns=between_ns)] == [True]
    assert len(reports.notices(since_ns=0)) == 2
    ears.close()


def test_nonsense_is_complained_of_once_and_does_no_harm(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    reports = Reports()
    ears = Ears(tmp_path, reports)

    said(
        ears.environment()["CONFHUB_REPORT"],
        b"\xff", b"[]", b"{}", b'{"release": true, "ok": true}', b'{"release": 1}',
        b'{"release": 3, "ok": true}', b'{"checksum": "sha256:0", "ok": false}',
    )  # fmt: skip
    listen(ears)

    assert [(one.release, one.checksum, one.ok) for one in reports.reports(since_ns=0)] == [
        (3, "", True),
        (None, "sha256:0", False),
    ]
    ears.close()


def test_descriptors_that_are_sent_along_are_closed(tmp_path: Path) -> None:
    """sd_notify_barrier(3) waits until the last copy of the one that it sent is closed."""
    ears = Ears(tmp_path, Reports())
    theirs, sent = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
        held.connect(ears.environment()["NOTIFY_SOCKET"])
        socket.send_fds(held, [b"BARRIER=1"], [sent])
    os.close(sent)

    listen(ears)

    assert os.read(theirs, 1) == b"", "nobody holds the other end"
    os.close(theirs)
    ears.close()


def test_what_the_protocols_say_is_understood() -> None:
    notice = notice_of(b"RELOADING=1\nMONOTONIC_USEC=5\nERRNO=2\nSTATUS=a=b\nX_OWN=1", 9)
    report = report_of(b'{"release": 4, "ok": false, "error": "no"}', 9)

    assert (notice.reloading, notice.ready, notice.monotonic_ns) == (True, False, 5000)
    assert (notice.errno, notice.status) == (2, "a=b")
    assert (report.release, report.ok, report.error) == (4, False, "no")


def test_an_outer_supervisor_that_is_gone_is_no_trouble(tmp_path: Path) -> None:
    pass_on(b"READY=1", str(tmp_path / "nobody"))
    pass_on(b"READY=1", "@confhub-nobody")
