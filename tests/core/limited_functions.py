"""What the tests of confhub.core.limited run in a child."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def echo(*args: Any) -> Any:
    return list(args)


def pid() -> int:
    return os.getpid()


def spin() -> None:
    while True:
        pass


def catastrophic_pattern() -> bool:
    return re.search(r"^(a+)+$", "a" * 60 + "!") is not None


def sleep() -> None:
    time.sleep(600)


def hoard() -> int:
    return len(bytearray(4 << 30))


def flood() -> str:
    return "x" * 5_000_000


def recurse(level: int = 0) -> int:
    return recurse(level + 1)


def nested(levels: int) -> Any:
    answer: Any = 0
    for _ in range(levels):
        answer = [answer]
    return answer


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def leave() -> None:
    os._exit(0)


def fail(value: str) -> None:
    raise KeyError(value)


def talk() -> str:
    sys.stdout.write("chatter")
    sys.stdout.flush()
    os.write(1, b"chatter")
    return "heard"


def write_file(path: str) -> str:
    try:
        Path(path).write_text("found a way out")
    except OSError as error:
        return type(error).__name__
    return "written"


def start_process() -> str:
    try:
        subprocess.run(["/bin/true"], check=False)
    except OSError as error:
        return type(error).__name__
    return "started"


def modules() -> list[str]:
    return sorted(name for name in sys.modules if name.partition(".")[0] in {"django", "confhub"})


def refuse() -> dict[str, Any]:
    return {"error": {"code": "no", "detail": "I would rather not."}}
