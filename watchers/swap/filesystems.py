"""What a file system is made of. https://man7.org/linux/man-pages/man2/statfs.2.html"""

import ctypes
import os

TMPFS, RAMFS = 0x01021994, 0x858458F6  # linux/magic.h
_STATFS_BYTES = 512  # larger than struct statfs on any architecture; f_type is its first long


def is_in_memory(descriptor: int) -> bool:
    """True where no disk ever holds what is written (but swap, which may be encrypted or off)."""
    held = ctypes.create_string_buffer(_STATFS_BYTES)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.fstatfs(descriptor, held) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return ctypes.c_long.from_buffer(held).value & 0xFFFFFFFF in (TMPFS, RAMFS)
