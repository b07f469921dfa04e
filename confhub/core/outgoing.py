"""Send a request to an address that somebody wrote into a form, without being led elsewhere.

Whoever may enter an address could otherwise have this server ask its own neighbours (server-side
request forgery). So the name is resolved here, once; an address that is not public is refused unless
the operator allowed the name (CONFHUB_OUTGOING_ALLOW); and the connection goes to the very address
that was checked, so that a name cannot change its meaning in between. TLS is still checked against
the name. Redirects are answers like any other, proxies of the environment are not used, and time and
size have limits.
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

import ipaddress
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpcore
from django.conf import settings

MAX_URL_CHARS = 500
MAX_ANSWER_BYTES = 64 * 1024
TIMEOUT_S = 10.0
MAX_ADDRESSES = 4  # of one name that are tried, one after the other
AGENT = "ConfHub"
WRITTEN_AT_ONCE = 16 * 1024  # bytes; the time that is left is looked at between two of these
# What is public in IPv6 is said here and not by Python, whose 3.11 calls ::127.0.0.1, fec0::/10 and
# 64:ff9b:1::/48 global: one block is handed out to hosts (RFC 4291), the rest of it is special.
_UNICAST = ipaddress.ip_network("2000::/3")
_SPECIAL = tuple(ipaddress.ip_network(each) for each in ("2001::/23", "2001:db8::/32", "3fff::/20"))
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_6TO4_RELAYS = ipaddress.ip_network("192.88.99.0/24")
# A look-up cannot be cut short, so that many that hang are the limit, and none keeps a process alive.
_looking_up = threading.BoundedSemaphore(32)

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotSent(Exception):
    """No answer came, and the sentence says why. `refused`: it was not even tried."""

    def __init__(self, sentence: str, *, refused: bool = False) -> None:
        super().__init__(sentence)
        self.refused = refused


@dataclass(frozen=True)
class Answer:
    """What came back; `body` is cut at the limit, and `whole` says whether it was."""

    status: int
    headers: Mapping[str, str]  # names in small letters
    body: bytes = field(repr=False)
    whole: bool

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", errors="replace")

    def json(self) -> Any:
        """Raises ValueError, RecursionError."""
        return json.loads(self.body)


def url_problem(url: str) -> str | None:
    """The sentence that says why `url` cannot be an address to send to; None where it can.

    What its name means is looked at when something is sent, because it may change.
    """
    if len(url) > MAX_URL_CHARS:
        return f"It has {len(url):,} characters; write at most {MAX_URL_CHARS}."
    if not url.isascii() or not url.isprintable() or " " in url:
        return "Write it in printable ASCII without spaces."
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "It is not a URL. Write it as https://host/path."
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return "Write it as https://host/path."
    if parts.username is not None or parts.password is not None:
        return "Leave name and password out of it; what is sent is signed."
    if parts.fragment:
        return "Leave out what follows '#'; no server ever gets it."
    return None


def send(
    method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None,
    timeout_s: float = TIMEOUT_S, max_bytes: int = MAX_ANSWER_BYTES,
) -> Answer:  # fmt: skip
    """The answer to one request, within `timeout_s` from the first look at the name to the last
    byte. Raises NotSent."""
    if (problem := url_problem(url)) is not None:
        raise NotSent(f"{url[:80]!r} cannot be asked: {problem}", refused=True)
    deadline = time.monotonic() + timeout_s
    told = {"user-agent": AGENT, "accept-encoding": "identity", **(headers or {})}
    backend = _Pinned(deadline)
    limits = dict.fromkeys(("connect", "read", "write", "pool"), timeout_s)
    try:
        with (
            httpcore.ConnectionPool(network_backend=backend, ssl_context=_tls()) as pool,
            pool.stream(
                method,
                url,
                headers=list(told.items()),
                content=body,
                extensions={"timeout": limits},
            ) as response,
        ):
            kept, whole = _read(response.iter_stream(), max_bytes)
            answered = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in response.headers
            }
            return Answer(response.status, answered, kept, whole)
    except httpcore.TimeoutException:
        raise NotSent(f"It did not answer within {timeout_s:g} s.") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        raise NotSent(_why(error)) from None


def _why(error: Exception) -> str:
    """The sentence for a connection that did not come about, or broke."""
    cause = error if isinstance(error, ssl.SSLError) else error.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"TLS failed: the certificate was not accepted ({cause.verify_message})."
    if isinstance(cause, ssl.SSLError):
        return f"TLS failed: {cause.reason or cause}."
    return f"The connection failed: {str(error) or type(error).__name__}."


def _read(chunks: Iterable[bytes], max_bytes: int) -> tuple[bytes, bool]:
    kept = bytearray()
    for chunk in chunks:
        kept += chunk
        if len(kept) > max_bytes:
            return bytes(kept[:max_bytes]), False
    return bytes(kept), True


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    """The machine's authorities; read once, because that takes 20 ms."""
    return ssl.create_default_context()


class _Pinned(httpcore.NetworkBackend):
    """Connects to the address that was checked, and to nothing after the deadline."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        addresses = allowed_addresses(host, port, timeout_s=_left(self._deadline))[:MAX_ADDRESSES]
        for at, address in enumerate(addresses, start=1):
            try:
                stream = self._inner.connect_tcp(
                    address, port, socket_options=socket_options,
                    # A part of the time for each, so that one that drops packets leaves some.
                    timeout=_left(self._deadline) / (len(addresses) - at + 1),
                )  # fmt: skip
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if at == len(addresses):
                    raise
            else:
                return _Timed(stream, self._deadline)
        raise NotSent(f"The name {host} has no address.")

    def connect_unix_socket(self, path: str, *_: Any, **__: Any) -> httpcore.NetworkStream:
        raise NotSent("A socket of this machine is not an address to send to.", refused=True)


class _Timed(httpcore.NetworkStream):
    """A stream whose every wait ends at one deadline, so that a drip of bytes does not extend it."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner, self._deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, timeout=_left(self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for at in range(0, len(buffer), WRITTEN_AT_ONCE):
            piece = buffer[at : at + WRITTEN_AT_ONCE]
            self._inner.write(piece, timeout=_left(self._deadline))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:  # fmt: skip
        inner = self._inner.start_tls(ssl_context, server_hostname, timeout=_left(self._deadline))
        return _Timed(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise httpcore.ReadTimeout("the time is over")
    return left


def allowed_addresses(host: str, port: int, *, timeout_s: float) -> list[str]:
    """What `host` means now, as far as it may be asked. Raises NotSent."""
    found = _looked_up(host, port, timeout_s)
    allowed = {each.lower() for each in settings.CONFHUB_OUTGOING_ALLOW}
    if {host.lower(), f"{host.lower()}:{port}"} & allowed:
        return found
    public = [each for each in found if is_public(ipaddress.ip_address(each.partition("%")[0]))]
    if not public:
        raise NotSent(
            f"{host} is {', '.join(found[:3])}, which is not a public address. An operator can allow "
            f"it by name: CONFHUB_OUTGOING_ALLOW={host}.",
            refused=True,
        )
    return public


def _looked_up(host: str, port: int, timeout_s: float) -> list[str]:
    """Every address of `host`, in the resolver's order. Raises NotSent."""
    deadline = time.monotonic() + timeout_s
    late = NotSent(f"The name {host} was not resolved in time.")
    if not _looking_up.acquire(timeout=timeout_s):
        raise late
    answer: queue.SimpleQueue[list[str] | Exception] = queue.SimpleQueue()
    threading.Thread(
        target=_look_up, args=(host, port, answer), name="resolver", daemon=True
    ).start()
    try:
        found = answer.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        raise late from None
    if isinstance(found, Exception):
        raise NotSent(f"There is no host {host}.") from None
    return found


def _look_up(host: str, port: int, answer: "queue.SimpleQueue[list[str] | Exception]") -> None:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        answer.put([str(each[4][0]) for each in found])
    except (OSError, UnicodeError, ValueError) as error:
        answer.put(error)
    finally:
        _looking_up.release()


def is_public(address: IPAddress) -> bool:
    """False for loopback, private, link-local, shared, reserved and multicast addresses, also where
    one of IPv4 hides in one of IPv6."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not address.is_multicast and address not in _6TO4_RELAYS
    hidden = address.ipv4_mapped or address.sixtofour
    if address in _NAT64:
        hidden = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if hidden is not None:
        return is_public(hidden)
    return address in _UNICAST and not any(address in each for each in _SPECIAL)
