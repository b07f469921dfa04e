"""One plain file, or one unix socket, below a root directory that no link leads out of."""

import errno
import os
import socket
import stat

from watchers.runtimes.entering import kernel


def read(root: int, path: str, max_bytes: int) -> bytes:
    """What the plain file `path` holds. Raises OSError, also when it is larger."""
    held = kernel.open_in_root(root, path, os.O_PATH)
    try:
        # Looked at before it is opened: to open a device or a pipe can already do something.
        if not stat.S_ISREG(os.fstat(held).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", path)
        descriptor = os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(held)
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise too_large(path, max_bytes)
    return content


def too_large(path: str, max_bytes: int) -> OSError:
    return OSError(errno.EFBIG, f"larger than {max_bytes} bytes", path)


def connect(root: int, path: str, timeout_s: float) -> socket.socket:
    """A connection to the unix socket `path`. Raises OSError."""
    held = kernel.open_in_root(root, path, os.O_PATH)
    connected = socket.socket(socket.AF_UNIX)
    try:
        connected.settimeout(timeout_s)
        # By its descriptor, because an address holds no more than 107 bytes of a path.
        connected.connect(f"/proc/self/fd/{held}")
    except BaseException:
        connected.close()
        raise
    finally:
        os.close(held)
    return connected
