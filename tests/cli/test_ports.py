"""Loopback ports: what is taken, and the next free one."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from confhub.cli import ports


@pytest.fixture
def taken_port() -> Iterator[int]:
    with contextlib.closing(socket.socket()) as listening:
        listening.bind((ports.LOOPBACK, 0))
        listening.listen()
        yield int(listening.getsockname()[1])


def test_a_port_that_somebody_listens_on_is_taken(taken_port: int) -> None:
    assert ports.why_not(taken_port).startswith(f"Port {taken_port} is taken by another program.")


def test_the_next_free_port_is_after_the_taken_ones(taken_port: int) -> None:
    chosen: set[int] = {taken_port + 1}

    found = ports.next_free(taken_port, taken=chosen)

    assert found > taken_port + 1
    assert chosen == {taken_port + 1, found}


def test_a_port_that_was_just_closed_is_free(taken_port: int) -> None:
    with contextlib.closing(socket.socket()) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((ports.LOOPBACK, 0))
        listening.listen()
        port = int(listening.getsockname()[1])
        with contextlib.closing(socket.create_connection((ports.LOOPBACK, port))):
            listening.accept()[0].close()

    assert ports.why_not(port) == ""


def test_no_port_above_the_last_one_is_tried() -> None:
    with pytest.raises(ports.NoFreePort, match="65535"):
        ports.next_free(65_535, taken={65_535})


@pytest.mark.parametrize("port", [-1, 0, 65_536])
def test_a_number_that_is_no_port_is_told_apart(port: int) -> None:
    assert ports.why_not(port) == f"PORT={port}: write a number from 1 to 65535."
