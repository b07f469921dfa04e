"""A real process to configure: reads its files at its start and on HUP, and writes down what it read.

    python -m tests.parts.workload DIRECTORY LOG

One JSON line in LOG for each reading: {"pid", "release", "values", "why": "start" | "HUP"}. It exits
with 3 when it reads {"CRASH": true}, and it does not take HUP at all when begun with DEAF set.
"""

import json
import os
import signal
import sys
from pathlib import Path


def main() -> None:
    directory, log = Path(sys.argv[1]), sys.argv[2]

    def read(why: str) -> None:
        try:
            # Through one open generation, as the documentation tells readers to.
            generation = (directory / "current").resolve(strict=True)
            values = json.loads((generation / "config.json").read_text())
            release = int((generation / "release").read_text())
        except OSError:
            values, release = {}, 0
        line = {"pid": os.getpid(), "release": release, "values": values, "why": why}
        with open(log, "ab", buffering=0) as file:  # noqa: PTH123  # one write, so never half a line
            file.write(json.dumps(line).encode() + b"\n")
        if values.get("CRASH"):
            os._exit(3)

    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if not os.environ.get("DEAF"):
        signal.signal(signal.SIGHUP, lambda *_: read("HUP"))
    read("start")
    while True:
        signal.pause()


if __name__ == "__main__":
    main()
