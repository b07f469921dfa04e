"""As process 1: a thousand commands that exit with 7, while orphans end and are reaped.

    unshare --pid --fork --mount-proc python -m tests.watchers.run.reaper

Prints {"pid": 1, "commands": 1000, "codes": {"7": 1000}, "reaped": N}.
"""

import json
import os
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from watchers.run.reaping import reap_orphans
from watchers.runtimes import commands
from watchers.runtimes.here import Here

COMMANDS = 1000
THREADS = 8


def one(number: int) -> int:
    """Every tenth as a check runs, which takes longer; the others straight through Popen."""
    if number % 10 == 0:
        return Here(None, {}).run(["sh", "-c", "exit 7"]).code
    with commands.owned(["sh", "-c", "exit 7"]) as process:
        return process.wait()


def make_orphans(stop: threading.Event) -> None:
    """Each shell leaves two processes behind, which then belong to process 1."""
    while not stop.wait(0.02):
        with commands.owned(["sh", "-c", "(sleep 0.01; exit 3) & (exit 4) & exit 0"]) as shell:
            shell.wait()


def main() -> None:
    assert os.getpid() == 1
    stop, reaped = threading.Event(), Counter[str]()
    real = os.waitpid

    def counting(pid: int, options: int) -> tuple[int, int]:
        found = real(pid, options)
        if threading.current_thread() is reaper:
            reaped["all"] += bool(found[0])
        return found

    os.waitpid = counting

    def reap() -> None:
        while not stop.is_set():
            reap_orphans(commands.owns)

    reaper = threading.Thread(target=reap)
    orphans = threading.Thread(target=make_orphans, args=(stop,))
    reaper.start()
    orphans.start()
    with ThreadPoolExecutor(THREADS) as pool:
        codes = Counter(pool.map(one, range(COMMANDS)))
    stop.set()
    orphans.join()
    reaper.join()
    json.dump(
        {"commands": sum(codes.values()), "codes": codes, "reaped": reaped["all"]}, sys.stdout
    )


if __name__ == "__main__":
    main()
