"""`confhub agent` as the user nobody, who may have no way to where Python's modules are."""

import encodings.ascii  # as below
import encodings.idna  # noqa: F401  # looked for on the first connection, when nobody can look
import os

from watchers.cli import main
from watchers.runtimes import docker  # noqa: F401  # as above

if __name__ == "__main__":
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    main(["agent"])
