"""`confhub run` as its users start it: a process of its own, ended with the test."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.parts.publisher import Publisher
from tests.watchers.served import ROOT, status_of, until
from watchers.wire.status import Receipt, Status

PYTHON = sys.executable


# Ignore no signal, whatever this test run was begun to ignore (`nohup`, a service manager). Not by
# `preexec_fn`, because that runs Python between fork and exec beside gRPC's threads.
AS_FROM_A_TERMINAL = ["env", "--default-signal=HUP,INT,QUIT"]


class Running:
    """One `confhub run`, with what its publisher knows of the instance."""

    def __init__(self, process: subprocess.Popen[str], publisher: Publisher) -> None:
        self.process, self._publisher = process, publisher
        self.key = publisher.keys.instance("one")

    def until(self, state: str, release: int, timeout_s: float = 40) -> Status:
        try:
            return until(self._publisher.endpoint, self.key, state, release, timeout_s)
        except AssertionError as error:
            self.process.kill()
            _, log = self.process.communicate(timeout=20)
            raise AssertionError(
                f"{error}\nexit code {self.process.returncode}, log:\n{log}"
            ) from None

    def status(self) -> Status | None:
        return status_of(self._publisher.endpoint, self.key)

    def receipt(self) -> Receipt | None:
        status = self.status()
        return status.receipt if status is not None else None

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def said(self, word: str) -> str:
        """Read its log up to the line that holds `word`."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if word in line:
                return line
        raise AssertionError(f"it ended without saying {word}")

    def ended(self) -> tuple[int, str, str]:
        """(exit code, what it wrote, its log), once it has ended by itself."""
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err

    def stop(self) -> tuple[int, str, str]:
        self.process.terminate()
        return self.ended()


Begin = Callable[..., Running]


def environment_for(publisher: Publisher, state: Path) -> dict[str, str]:
    return {
        **os.environ,
        "ETCD_ENDPOINTS": publisher.endpoint,
        "ETCD_PREFIX": publisher.keyspace.prefix,
        "CONFHUB_STATE_DIR": str(state),
        "CONFHUB_HOST": "here",
    }


def command_line(options: list[str], command: list[str]) -> list[str]:
    return [
        PYTHON, "-m", "watchers.cli", "run", "--service", "shop", "--environment", "dev",
        "--instance", "one", "--soak", "200ms", *options, "--", *command,
    ]  # fmt: skip


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """`begin(publisher, [options], [command])` starts it; whatever still runs is ended."""
    begun: list[Running] = []

    def start(publisher: Publisher, options: list[str], command: list[str], **more: Any) -> Running:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        extra = more.pop("env", {})
        process = subprocess.Popen(
            [*AS_FROM_A_TERMINAL, *more.pop("below", []), *command_line(options, command)],
            cwd=ROOT,
            env={**environment_for(publisher, tmp_path / "state"), **extra},
            **{**pipes, **more},
        )
        held = Running(process, publisher)
        begun.append(held)
        return held

    yield start
    for held in begun:
        if held.process.poll() is None:
            held.process.terminate()
            try:
                held.process.wait(20)
            except subprocess.TimeoutExpired:
                held.process.kill()
                held.process.wait(20)
        for pipe in (held.process.stdin, held.process.stdout, held.process.stderr):
            if pipe is not None:
                pipe.close()
