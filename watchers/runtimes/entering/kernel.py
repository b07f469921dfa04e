"""System calls that Python 3.11 has no name for. All raise OSError.

https://man7.org/linux/man-pages/man2/setns.2.html (and fsopen, openat2, prctl, capset beside it)
"""

import ctypes
import errno
import os
import signal
import struct

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME = 1, 4, 15
_PR_CAPBSET_READ, _PR_CAPBSET_DROP, _PR_SET_SECUREBITS = 23, 24, 28
_PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 36, 38, 47
_AMBIENT_RAISE, _AMBIENT_CLEAR_ALL = 2, 4
# SECBIT_NO_SETUID_FIXUP: changing the user takes no capability away; they are set by name afterwards.
KEEP_ACROSS_SETUID = 1 << 2
# The same numbers on every architecture, because they are younger than 2019.
_FSOPEN, _FSCONFIG, _FSMOUNT, _OPENAT2 = 430, 431, 432, 437
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 0, 1, 6
_CLOEXEC = 1  # FSOPEN_CLOEXEC and FSMOUNT_CLOEXEC
_RESOLVE_NO_MAGICLINKS, _RESOLVE_IN_ROOT = 0x02, 0x10
_CAPABILITY_VERSION_3 = 0x20080522
MAX_CAPABILITY = 64
_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def setns(descriptor: int, kind: int = 0) -> None:
    """Enter the namespace. Only this thread does, so a program of one thread should ask."""
    _checked(_libc.setns(descriptor, kind), "setns")


def unshare(kinds: int) -> None:
    _checked(_libc.unshare(kinds), "unshare")


def mount(source: str, target: str, flags: int) -> None:
    _checked(
        _libc.mount(source.encode(), target.encode(), None, ctypes.c_ulong(flags), None),
        f"mount at {target}",
    )


def _prctl(option: int, first: int | bytes = 0, second: int = 0) -> int:
    argument = first if isinstance(first, bytes) else ctypes.c_ulong(first)
    rest = (ctypes.c_ulong(second), ctypes.c_ulong(0), ctypes.c_ulong(0))
    return _checked(_libc.prctl(option, argument, *rest), f"prctl {option}")


def hide_memory() -> None:
    """Nobody without CAP_SYS_PTRACE may look into this process, or through it at what it holds."""
    _prctl(_PR_SET_DUMPABLE, 0)


def be_called(name: str) -> None:
    _prctl(_PR_SET_NAME, name.encode() + b"\0")


def die_with_parent() -> None:
    """SIGKILL when our parent ends. A change of user forgets it, so ask afterwards."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Whatever our descendants leave behind becomes our child, not the first process's."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def gain_nothing() -> None:
    """No program that is run from now on gives more rights than there are."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def set_securebits(bits: int) -> None:
    _prctl(_PR_SET_SECUREBITS, bits)


def bound_capabilities(kept: int) -> None:
    """Drop all but the bit mask `kept` from the bounding set, for good."""
    for number in range(MAX_CAPABILITY):
        try:
            held = _prctl(_PR_CAPBSET_READ, number)
        except OSError as error:
            if error.errno == errno.EINVAL:
                return  # the kernel knows no more
            raise
        if held and not kept >> number & 1:
            _prctl(_PR_CAPBSET_DROP, number)


def set_capabilities(effective: int, permitted: int, inheritable: int, ambient: int) -> None:
    """Bit masks, as /proc/PID/status writes them."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    masks = (effective, permitted, inheritable)
    low = struct.pack("3I", *(mask & 0xFFFFFFFF for mask in masks))
    high = struct.pack("3I", *(mask >> 32 for mask in masks))
    _checked(_libc.capset(header, low + high), "capset")
    _prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)
    for number in range(MAX_CAPABILITY):
        if ambient >> number & 1:
            _prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, number)


def permitted_capabilities() -> int:
    """Those of this process, as a bit mask."""
    header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
    held = ctypes.create_string_buffer(24)
    _checked(_libc.capget(header, held), "capget")
    fields = struct.unpack("6I", held.raw)
    return int(fields[1] | fields[4] << 32)


def _call(number: int, what: str, *arguments: int | bytes | None) -> int:
    held = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *held), what)


def mounted(kind: str, flags: tuple[str, ...] = (), **texts: str) -> int:
    """A descriptor of the root of a file system that is mounted nowhere, and gone when closed."""
    context = _call(_FSOPEN, f"fsopen {kind}", kind.encode(), _CLOEXEC)
    try:
        for flag in flags:
            _call(_FSCONFIG, f"{kind} {flag}", context, _FSCONFIG_SET_FLAG, flag.encode(), None, 0)
        for key, text in texts.items():
            _call(_FSCONFIG, f"{kind} {key}", context, _FSCONFIG_SET_STRING,
                  key.encode(), text.encode(), 0)  # fmt: skip
        _call(_FSCONFIG, f"making {kind}", context, _FSCONFIG_CMD_CREATE, None, None, 0)
        return _call(_FSMOUNT, f"fsmount {kind}", context, _CLOEXEC, 0)
    finally:
        os.close(context)


def open_in_root(root: int, path: str, flags: int) -> int:
    """Open `path` as a process with the root directory `root` would, however its links lead."""
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT | _RESOLVE_NO_MAGICLINKS)
    for last in (False, False, True):
        try:
            return _call(_OPENAT2, path, root, os.fsencode(path), how, len(how))
        except OSError as error:
            # A rename somewhere on the way; the kernel would rather be asked again than guess.
            if last or error.errno != errno.EAGAIN:
                raise
    raise AssertionError("the last try returns or raises")
