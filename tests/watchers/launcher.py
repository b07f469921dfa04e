"""An agent in a process of its own, which kills itself with -9 at a named border.

    python -m tests.watchers.launcher ENDPOINT PREFIX STATE DIRECTORY PID BORDER

The borders are wrapped here, from outside: the product has no switch for it.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.watchers.served import runtime_for
from watchers.agent import Agent
from watchers.check.commands import CommandCheck
from watchers.etcd import Etcd
from watchers.instance.applying import Applying
from watchers.instance.memory import Journal
from watchers.instance.proving import Proving
from watchers.reload.signals import ArmedSignal
from watchers.swap.disk import Directory
from watchers.wire.keyspace import Keyspace


def die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str, when: Callable[..., bool] = lambda *_, **__: True) -> None:
    real = getattr(owner, name)

    def wrapped(*args: Any, **named: Any) -> Any:
        if when(*args, **named):
            die()
        return real(*args, **named)

    setattr(owner, name, wrapped)


def after(owner: Any, name: str, when: Callable[..., bool] = lambda *_, **__: True) -> None:
    real = getattr(owner, name)

    def wrapped(*args: Any, **named: Any) -> Any:
        made = real(*args, **named)
        if when(*args, **named):
            die()
        return made

    setattr(owner, name, wrapped)


def stage(word: str) -> Callable[..., bool]:
    return lambda _journal, _id, memory, **_: memory.stage == word


BORDERS: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "before the files are written": lambda: before(Directory, "write"),
    "while the files are written": lambda: after(os, "fchmod"),
    "after the files were written": lambda: after(Directory, "write"),
    "before the check": lambda: before(CommandCheck, "run"),
    "after the check": lambda: after(CommandCheck, "run"),
    "after the intent was kept": lambda: after(Journal, "save", stage("pending")),
    "after the swap": lambda: after(Directory, "swap"),
    "before the workload's view is compared": lambda: before(Applying, "_require_seen"),
    "before the signal": lambda: before(ArmedSignal, "send"),
    "after the signal, before it was kept": lambda: after(ArmedSignal, "send"),
    "after the signal was kept": lambda: after(Journal, "save", stage("soaking")),
    "before the directory is durable": lambda: before(Directory, "settle"),
    "in the soak": lambda: before(Proving, "_outlives"),
    "after the soak": lambda: after(Proving, "_outlives"),
    "before it is confirmed": lambda: before(Journal, "save", stage("confirmed")),
    "after it is confirmed": lambda: after(Journal, "save", stage("confirmed")),
}


def main() -> None:
    endpoint, prefix, state, directory, pid, border = sys.argv[1:]
    BORDERS[border]()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    runtime = runtime_for(int(pid), Path(directory), labels={"check": "exec:true"})
    etcd = Etcd([endpoint])
    agent = Agent(etcd, Keyspace(prefix), [runtime], Path(state), "here")
    agent.run(stop)
    etcd.close()  # as the command does; gRPC may otherwise keep a process that has ended


if __name__ == "__main__":
    main()
