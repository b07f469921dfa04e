"""Loopback ports: is one free, and which is the next free one."""

import contextlib
import socket

LOOPBACK = "127.0.0.1"
TRIED = 200
LAST = 65_535


class NoFreePort(Exception):
    """None of the ports that were tried is free."""


def why_not(port: int) -> str:
    """Why `port` cannot be listened on, in a sentence; empty where it can.

    A closed connection's leftover does not count.
    """
    if not 1 <= port <= LAST:
        return f"PORT={port}: write a number from 1 to {LAST}."
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except PermissionError:
            return f"Port {port} is for root only. Choose one above 1023: make up PORT=8000"
        except OSError:
            another = f" Choose another: make up PORT={port + 1}" if port < LAST else ""
            return f"Port {port} is taken by another program.{another}"
    return ""


def next_free(first: int, *, taken: set[int]) -> int:
    """The first free port from `first` on that is not in `taken`, which then holds it too."""
    last = min(first + TRIED - 1, LAST)
    for port in range(first, last + 1):
        if port not in taken and not why_not(port):
            taken.add(port)
            return port
    raise NoFreePort(f"No free port from {first} to {last} on {LOOPBACK}.")
