"""A process that speaks for itself, as the entry SAY of its release asks: started, and told by HUP.

    python -m tests.watchers.run.speaker notify|report

For `notify` SAY is a list of datagrams, such as ["RELOADING=1\\nMONOTONIC_USEC={now}", "READY=1"];
for `report` one object, sent with the release's number. `null` says nothing.
"""

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path


def send(variable: str, text: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as held:
        held.sendto(text.encode(), os.environ[variable])


def read() -> None:
    generation = (Path(os.environ["CONFHUB_DIR"]) / "current").resolve(strict=True)
    say = json.loads((generation / "config.json").read_text())["SAY"]
    if say is None:
        return
    if sys.argv[1] == "report":
        release = int((generation / "release").read_text())
        send("CONFHUB_REPORT", json.dumps({"release": release, **say}))
        return
    for text in say:
        send("NOTIFY_SOCKET", text.replace("{now}", str(time.monotonic_ns() // 1000)))


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, lambda *_: read())
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    read()
    while True:
        signal.pause()
