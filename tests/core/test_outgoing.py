"""Requests to addresses that somebody typed: where they may go, how long they take, how much is read."""

import ipaddress
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from confhub.core import outgoing
from confhub.core.outgoing import NotSent, send, url_problem
from tests.parts.receiver import Got, Handler, Receiver
from tests.parts.servers import free_port

PRIVATE = {
    "loopback": "127.0.0.1", "another loopback": "127.8.9.1", "this network": "0.1.2.3",
    "private 10": "10.1.2.3", "private 172": "172.16.0.1", "private 192": "192.168.1.1",
    "link-local": "169.254.169.254", "shared": "100.64.0.1", "protocol": "192.0.0.1",
    "benchmark": "198.18.0.1", "documentation": "203.0.113.5", "multicast": "224.0.0.251",
    "reserved": "240.0.0.1", "broadcast": "255.255.255.255", "6to4 relay": "192.88.99.1",
    "v6 loopback": "::1", "v6 unspecified": "::", "v6 private": "fd00::1", "v6 link-local": "fe80::1",
    "v6 site-local": "fec0::1", "v6 multicast": "ff02::1", "v6 documentation": "2001:db8::1",
    "v6 documentation 2": "3fff::1", "v6 discard": "100::1", "segment routing": "5f00::1",
    "mapped": "::ffff:127.0.0.1", "mapped metadata": "::ffff:169.254.169.254",
    "compatible": "::127.0.0.1", "translated": "::ffff:0:127.0.0.1", "NAT64": "64:ff9b::7f00:1",
    "NAT64 local": "64:ff9b:1::7f00:1", "6to4": "2002:7f00:1::1", "6to4 private": "2002:a00:1::1",
    "Teredo": "2001:0:7f00:1::1", "Teredo with a public server": "2001:0:808:808::1",
}  # fmt: skip
PUBLIC = ("8.8.8.8", "2001:4860:4860::8888", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1", "::ffff:8.8.8.8")  # fmt: skip


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.CONFHUB_OUTGOING_ALLOW = ["127.0.0.1"]
    with Receiver() as held:
        yield held


@pytest.fixture
def looks_up(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """looks_up("10.0.0.1", …) makes every name mean that; answers the names that were asked for."""
    asked: list[str] = []
    really = socket.getaddrinfo

    def means(*turns: str | list[str]) -> list[str]:
        def getaddrinfo(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
            if host.replace(".", "").isdigit():  # an address means itself
                return really(host, port, *args, **options)
            held = turns[min(len(asked), len(turns) - 1)]
            asked.append(host)
            found = [held] if isinstance(held, str) else held
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        return asked

    return means


def refusal(url: str, **options: Any) -> NotSent:
    with pytest.raises(NotSent) as caught:
        send("POST", url, **options)
    return caught.value


# --- where it may go ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRIVATE)
def test_it_is_not_public(name: str) -> None:
    assert not outgoing.is_public(ipaddress.ip_address(PRIVATE[name]))


@pytest.mark.parametrize("address", PUBLIC)
def test_it_is_public(address: str) -> None:
    assert outgoing.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("name", PRIVATE)
def test_a_name_that_means_it_is_refused_before_anything_is_sent(
    name: str, looks_up: Callable[..., list[str]]
) -> None:
    looks_up(PRIVATE[name])

    error = refusal("https://hooks.example.com/x")

    assert error.refused
    assert "not a public address" in str(error)
    assert "CONFHUB_OUTGOING_ALLOW=hooks.example.com" in str(error)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"]
)  # fmt: skip
def test_every_way_to_write_this_machine_is_refused(host: str) -> None:
    with Receiver() as receiver:
        error = refusal(f"http://{host}:{receiver.server_port}/")

        assert error.refused
        assert receiver.got == []


def test_an_operator_allows_by_name_or_by_name_and_port(settings: Any) -> None:
    with Receiver() as receiver:
        port = receiver.server_port
        for allowed in ("127.0.0.1", f"127.0.0.1:{port}"):
            settings.CONFHUB_OUTGOING_ALLOW = [allowed]
            assert send("POST", receiver.url).status == 200
        for other in ("localhost", f"127.0.0.1:{port + 1}", "127.0.0", "0.0.1"):
            settings.CONFHUB_OUTGOING_ALLOW = [other]
            assert refusal(receiver.url).refused
        settings.CONFHUB_OUTGOING_ALLOW = ["LocalHost"]
        assert send("POST", f"http://LOCALHOST:{port}/").status == 200

    assert len(receiver.got) == 3


def test_of_a_name_with_public_and_private_addresses_only_the_public_ones_are_used(
    looks_up: Callable[..., list[str]],
) -> None:
    looks_up(["10.0.0.1", "8.8.8.8", "127.0.0.1"])

    assert outgoing.allowed_addresses("both.example.com", 443, timeout_s=1) == ["8.8.8.8"]


def test_a_name_that_changes_its_meaning_is_looked_up_once(
    receiver: Receiver, settings: Any, looks_up: Callable[..., list[str]]
) -> None:
    """DNS rebinding: harmless when it is checked, this machine when it is connected to."""
    settings.CONFHUB_OUTGOING_ALLOW = []
    connected: list[str] = []
    inner = outgoing.httpcore.SyncBackend.connect_tcp

    def connect(self: Any, host: str, *args: Any, **options: Any) -> Any:
        connected.append(host)
        if host == "8.8.8.8":  # nobody is asked in a test
            raise outgoing.httpcore.ConnectError("not here")
        return inner(self, host, *args, **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(outgoing.httpcore.SyncBackend, "connect_tcp", connect)
        asked = looks_up("8.8.8.8", "127.0.0.1")
        refusal(f"http://rebinds.example.com:{receiver.server_port}/")

    assert asked == ["rebinds.example.com"]
    assert connected == ["8.8.8.8"]
    assert receiver.got == []


def test_a_redirect_is_an_answer_and_is_not_followed(receiver: Receiver) -> None:
    with Receiver() as inner:
        receiver.answering = lambda handler, _: handler.answer(302, Location=inner.url)

        answer = send("POST", receiver.url)

        assert (answer.status, answer.headers["location"]) == (302, inner.url)
        assert inner.got == []


def test_proxies_of_the_environment_are_not_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Receiver() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
        monkeypatch.delenv("NO_PROXY", raising=False)

        assert send("POST", receiver.url).status == 200
        assert proxy.got == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://example.com/", "https://host/path"), ("/hook", "https://host/path"),
        ("https://", "https://host/path"), ("https://user:word@example.com/", "name and password"),
        ("https://good.example.com\\@127.0.0.1/", "name and password"),
        ("https://example.com/#x", "'#'"), ("https://exämple.com/", "ASCII"),
        ("https://example.com/a b", "ASCII"), ("https://example.com/\r\nX: y", "ASCII"),
        ("https://example.com:99999/", "not a URL"), ("https://[::1/", "not a URL"),
        (f"https://example.com/{'x' * 500}", "520 characters"), ("unix:///var/run/docker.sock", "https://host"),
    ],
    ids=["scheme", "path", "no host", "password", "backslash", "fragment", "umlaut", "space", "line", "port", "bracket", "long", "socket"],
)  # fmt: skip
def test_an_address_that_cannot_be_one_is_named(url: str, says: str) -> None:
    assert says in str(url_problem(url))
    assert refusal(url).refused


def test_a_host_that_is_not_there_is_named() -> None:
    error = refusal("http://nowhere.invalid/")

    assert str(error) == "There is no host nowhere.invalid."
    assert not error.refused


# --- several addresses ----------------------------------------------------------------------------


def test_when_the_first_address_does_not_connect_the_next_is_asked(
    receiver: Receiver, settings: Any, looks_up: Callable[..., list[str]]
) -> None:
    settings.CONFHUB_OUTGOING_ALLOW = ["two.example.com"]
    looks_up(["127.0.0.2", "127.0.0.1"])  # nobody listens at the first

    assert send("POST", f"http://two.example.com:{receiver.server_port}/").status == 200
    assert receiver.got[0].headers["host"] == f"two.example.com:{receiver.server_port}"


def test_when_none_connects_it_says_so(settings: Any, looks_up: Callable[..., list[str]]) -> None:
    settings.CONFHUB_OUTGOING_ALLOW = ["two.example.com"]
    looks_up(["127.0.0.2", "127.0.0.1"])

    assert "refused" in str(refusal(f"http://two.example.com:{free_port()}/"))


# --- how long, and how much -----------------------------------------------------------------------


def says_nothing(handler: Handler, _: Got) -> None:
    handler.server.closing.wait(20)


def drips(what: bytes) -> Callable[[Handler, Got], None]:
    """One byte after the other, so that no single wait is ever long."""

    def answering(handler: Handler, _: Got) -> None:
        handler.wfile.write(what)
        while not handler.server.closing.wait(0.02):
            handler.wfile.write(b"x")
            handler.wfile.flush()

    return answering


@pytest.mark.parametrize(
    "answering",
    [
        says_nothing,
        drips(b"HTTP/1.1 200 OK\r\nX-Long: "),
        drips(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"),
    ],
    ids=["hangs", "drips a header", "drips a body"],
)
def test_it_ends_with_its_time_whatever_the_server_does(receiver: Receiver, answering: Any) -> None:
    receiver.answering = answering

    error = refusal(receiver.url, timeout_s=0.4)

    assert str(error) == "It did not answer within 0.4 s."


def test_a_name_server_that_hangs_ends_with_the_time_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(20) and [])

    error = refusal("https://slow.example.com/", timeout_s=0.2)

    over.set()
    assert str(error) == "The name slow.example.com was not resolved in time."


def test_a_reader_that_takes_nothing_ends_with_the_time_as_well(settings: Any) -> None:
    settings.CONFHUB_OUTGOING_ALLOW = ["127.0.0.1"]
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]

        error = refusal(f"http://127.0.0.1:{port}/", body=b"x" * 30_000_000, timeout_s=0.4)

    assert "within 0.4 s" in str(error)


def test_a_connection_that_breaks_is_named(receiver: Receiver) -> None:
    def resets(handler: Handler, _: Got) -> None:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.connection.shutdown(socket.SHUT_RD)
        handler.close_connection = True

    receiver.answering = resets

    assert "connection failed" in str(refusal(receiver.url)).lower()


def test_no_more_of_a_body_is_read_than_was_asked_for(receiver: Receiver) -> None:
    sent = []

    def ten_mebibytes(handler: Handler, _: Got) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10485760\r\n\r\n")
        for at in range(160):
            handler.wfile.write(b"x" * 65_536)
            sent.append(at)

    receiver.answering = ten_mebibytes

    answer = send("POST", receiver.url, max_bytes=1000)

    assert (answer.status, len(answer.body), answer.whole) == (200, 1000, False)


def test_a_head_without_end_is_refused(receiver: Receiver) -> None:
    receiver.answering = lambda handler, _: handler.wfile.write(
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000
    )

    assert "connection failed" in str(refusal(receiver.url)).lower()


def test_a_compressed_answer_is_not_unpacked(receiver: Receiver) -> None:
    receiver.answering = lambda handler, _: handler.answer(
        200, b"\x1f\x8b", Content_Encoding="gzip"
    )

    assert send("POST", receiver.url).body == b"\x1f\x8b"
    assert receiver.got[0].headers["accept-encoding"] == "identity"


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def with_tls(authority: trustme.CA, settings: Any) -> Iterator[Receiver]:
    """https://localhost, with a certificate of an authority that nobody knows."""
    settings.CONFHUB_OUTGOING_ALLOW = ["localhost", "127.0.0.1"]
    held = Receiver()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    held.socket = context.wrap_socket(held.socket, server_side=True)
    with held:
        yield held
    outgoing._tls.cache_clear()


def test_a_certificate_of_nobody_known_is_refused(with_tls: Receiver) -> None:
    error = refusal(f"https://localhost:{with_tls.server_port}/")

    assert str(error).startswith("TLS failed: the certificate was not accepted (")
    assert with_tls.got == []


def test_with_the_right_authority_the_name_is_checked(
    with_tls: Receiver, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    outgoing._tls.cache_clear()

    assert send("POST", f"https://localhost:{with_tls.server_port}/").status == 200

    assert "not accepted" in str(refusal(f"https://127.0.0.1:{with_tls.server_port}/"))
    assert len(with_tls.got) == 1


def test_a_server_without_tls_is_named(receiver: Receiver) -> None:
    error = refusal(f"https://127.0.0.1:{receiver.server_port}/")

    assert str(error).startswith("TLS failed: ")
