"""Programs that read their configuration, as users write them; each ends when its input is closed.

python -m tests.client.programs NAME LOG
"""

import json
import multiprocessing
import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from confhub.client import Config, Snapshot


@dataclass(frozen=True)
class Settings:
    max: int
    copy: int = 0


class Log:
    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, why: str, snapshot: Snapshot) -> None:
        held = {"pid": os.getpid(), "why": why, "release": snapshot.release, "max": snapshot["MAX"]}
        with self._path.open("a") as file:
            file.write(json.dumps(held) + "\n")


def config_of(log: Log) -> Config:
    config = Config(service="shop", environment="dev", soak_s=0.2, wait_s=30)

    @config.on_change
    def changed(new: Snapshot, old: Snapshot, keys: frozenset[str]) -> None:
        log.write("changed", new)

    return config


def plain(log: Log) -> None:
    """One process."""
    config = config_of(log)
    config.load(Settings)
    log.write("began", config.current)
    sys.stdin.read()


def forks(log: Log) -> None:
    """A parent that has read already, and three children by os.fork."""
    config = config_of(log)
    log.write("parent", config.current)
    children = []
    for _ in range(3):
        child = os.fork()
        if not child:
            log.write("child", config.current)
            while os.getppid() == parent and not Path(f"{sys.argv[2]}.end").exists():
                time.sleep(0.05)
            os._exit(0)
        children.append(child)
    sys.stdin.read()
    Path(f"{sys.argv[2]}.end").touch()
    for child in children:
        os.waitpid(child, 0)


def forks_while_read(log: Log) -> None:
    """Thirty forks, while threads read and releases come; each child reads, is called, and ends."""
    config = config_of(log)
    live, ending = config.live(Settings), threading.Event()
    log.write("parent", config.current)

    def read() -> None:
        while not ending.is_set():
            with config.snapshot():
                assert live.max == live.copy

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    codes = set()
    for _ in range(30):
        child = os.fork()
        if not child:
            code = 1
            try:
                with config.snapshot() as snapshot:
                    code = 0 if live.max == live.copy == snapshot["MAX"] else 2
            finally:
                os._exit(code)
        codes.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    ending.set()
    for reader in readers:
        reader.join()
    log.write(f"codes {sorted(codes)}", config.current)
    sys.stdin.read()


def _pool_work(log_path: str, release: int) -> int:
    config = POOLED[0]
    while config.release < release:
        config.wait(5)
    Log(Path(log_path)).write("pool", config.current)
    time.sleep(0.2)  # so that no worker does all of it
    return config.release


POOLED: list[Config] = []


def pool(log: Log) -> None:
    """A multiprocessing pool, forked after the parent has read."""
    POOLED.append(config_of(log))
    log.write("parent", POOLED[0].current)
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as workers:
        log.write("forked", POOLED[0].current)
        done = workers.starmap(_pool_work, [(sys.argv[2], 2)] * 6, chunksize=1)
    log.write(f"done {sorted(set(done))}", POOLED[0].current)
    sys.stdin.read()


parent = os.getpid()

if __name__ == "__main__":
    {"plain": plain, "forks": forks, "forks_while_read": forks_while_read, "pool": pool}[
        sys.argv[1]
    ](Log(Path(sys.argv[2])))
