"""The process that follows etcd for all programs of one instance on this host.

    python -m confhub.client.follower FOLDER '{"service": …, "environment": …, …}'

FOLDER/files is what it delivers, FOLDER/socket where programs join. One at a time holds FOLDER/lock;
it lets go of whoever began it, serves whoever comes, and ends soon after the last one has left.
"""

import contextlib
import fcntl
import json
import os
import sys
import time
from pathlib import Path

from confhub.client.followed import connect

TURN_S = 15.0  # for the follower before us to end


def _become_the_one(folder: Path) -> int:
    """The locked descriptor that makes us the follower; -1 where another one serves."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + TURN_S
    while time.monotonic() < deadline:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with contextlib.suppress(OSError):
                connect(folder).close()
                return -1
            time.sleep(0.05)  # it ends, and has closed its socket already
        else:
            return descriptor
    return -1


def main(arguments: list[str]) -> int:
    folder, asked = Path(arguments[0]), json.loads(arguments[1])
    descriptor = _become_the_one(folder)
    if descriptor < 0:
        return 0
    if os.fork():
        os._exit(0)  # whoever began us is not our parent, and sees no child that it did not expect
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    # Here, because gRPC must not be there before a fork.
    from confhub.client.following import Follower

    return Follower(folder, asked).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
