"""One process's connection to etcd: the package's client, its endpoints and login, and one way to ask."""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import etcd3
import grpc
from etcd3 import etcdrpc

from watchers.credentials import Credentials
from watchers.etcd.errors import (
    ENDPOINT_FAILED,
    EtcdError,
    Refused,
    Unreachable,
    classify,
    wants_new_token,
    was_never_sent,
)

# Without the ping timeout a frozen server is noticed after about a minute, whatever the keepalive;
# etcd closes connections that ping more often than every 5 s (--grpc-keepalive-min-time).
OPTIONS = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 16 * 2**20),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
]
FAILED_FOR_S = 1.0  # how long a failed endpoint is passed over; the package's default is 300 s
# A member that has lost its leader refuses at once, where it would otherwise wait, or watch nothing.
HAS_LEADER = ("hasleader", "true")


@dataclass(frozen=True, slots=True)
class Address:
    host: str  # "[::1]" with its brackets
    port: int
    secure: bool

    @classmethod
    def parse(cls, text: str) -> "Address":
        """ "host:port", "http://host:port" or "https://host:port". Raises ValueError with a sentence."""
        url = urlsplit(text if "://" in text else f"http://{text}")
        try:
            port = url.port or 2379
        except ValueError as error:
            raise ValueError(f"etcd endpoint {text!r}: {error}; write host:port.") from error
        if url.scheme not in ("http", "https") or not url.hostname or url.username is not None:
            raise ValueError(f"etcd endpoint {text!r}: write host:port or https://host:port.")
        host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        return cls(host, port, url.scheme == "https")


class Stubs:
    """The package's generated stubs on one channel."""

    def __init__(self, channel: Any) -> None:
        self.kv = etcdrpc.KVStub(channel)
        self.lease = etcdrpc.LeaseStub(channel)
        self.watch = etcdrpc.WatchStub(channel)
        self.auth = etcdrpc.AuthStub(channel)


class Connection:
    """The package's client of this process, made on first use, so that a child may make its own.

    gRPC does not survive a fork once it was used: the child's calls fail or hang at random, even
    on new channels. So children are forked first, and one forked later is refused at once.
    https://github.com/grpc/grpc/blob/master/doc/fork_support.md
    """

    def __init__(
        self, endpoints: Sequence[str], *, timeout_s: float, credentials: Credentials
    ) -> None:
        self.addresses = [Address.parse(text) for text in endpoints]
        if not self.addresses:
            raise ValueError("ETCD_ENDPOINTS is empty: name at least one host:port.")
        self.timeout_s = timeout_s
        self.name = ", ".join(f"{one.host}:{one.port}" for one in self.addresses)
        self._credentials = credentials
        self._clients: dict[int, _Client] = {}

    def ask(self, call: Callable[[Stubs, Any], Any], *, writes: bool) -> Any:
        """`call(stubs, metadata)` at an endpoint that is not known to have failed.

        A read is asked at each endpoint once, for `timeout_s` each; a write goes to another
        endpoint only when it surely never left. Raises EtcdError.
        """
        endpoints_left = len(self.addresses)
        is_login_fresh = self._credentials.user is None
        while True:
            client = self._client()
            try:
                return client.call(call)
            except grpc.RpcError as failed:
                code, details = failed.code(), failed.details() or ""
                if wants_new_token(code, details) and not is_login_fresh:
                    client.forget_login()
                    is_login_fresh = True
                    continue
                endpoints_left -= 1
                is_endpoint_at_fault = code in ENDPOINT_FAILED
                if is_endpoint_at_fault:
                    client.fail_over()
                may_go_on = is_endpoint_at_fault and (not writes or was_never_sent(details))
                if endpoints_left == 0 or not may_go_on:
                    raise classify(code, details, endpoints=self.name, writes=writes) from failed
            except ValueError as failed:  # the channel was closed by another thread meanwhile
                raise Unreachable(f"etcd at {self.name}: the connection was closed.") from failed

    def call_failed(self, failed: grpc.RpcError) -> EtcdError:
        """What a stream's end means; the next call goes to another endpoint where that may help."""
        code, details = failed.code(), failed.details() or ""
        client = self._client()
        if code in ENDPOINT_FAILED:
            client.fail_over()
        if wants_new_token(code, details):
            client.forget_login()
        return classify(code, details, endpoints=self.name, writes=False)

    def forget_login(self) -> None:
        """Log in again before the next call, because the token is no longer accepted."""
        self._client().forget_login()

    def close(self) -> None:
        """Close this process's channels. The next call opens new ones."""
        client = self._clients.pop(os.getpid(), None)
        if client is not None:
            client.close()

    def _client(self) -> "_Client":
        pid = os.getpid()
        client = self._clients.get(pid)
        if client is None:
            _enter_grpc(pid)
            # No lock, because one that another thread held at the fork would stay held in the child.
            mine = _Client(self.addresses, self.timeout_s, self._credentials)
            client = self._clients.setdefault(pid, mine)
            if client is not mine:
                mine.close()
        return client


_used_by: int | None = None  # the process that has used gRPC, here or before a fork


def _enter_grpc(pid: int) -> None:
    """Remember who uses gRPC. Raises Refused in a child of a process that has."""
    global _used_by  # gRPC's state is the process's, too
    if _used_by is None:
        _used_by = pid
    elif _used_by != pid:
        raise Refused(
            f"Process {pid} was forked from {_used_by}, which had used etcd by then, and gRPC would "
            "hang here sooner or later. Fork before the first use, or start the child anew (spawn)."
        )


class _Client:
    """`etcd3`'s client with its endpoints; stubs are kept per channel."""

    def __init__(
        self, addresses: Sequence[Address], timeout_s: float, credentials: Credentials
    ) -> None:
        self._timeout_s = timeout_s
        self._credentials = credentials
        self._lock = threading.Lock()
        self._stubs: dict[Any, Stubs] = {}
        self._token: str | None = None
        self._client = etcd3.MultiEndpointEtcd3Client(
            endpoints=[
                etcd3.Endpoint(
                    one.host,
                    one.port,
                    secure=one.secure,
                    creds=_tls(credentials) if one.secure else None,
                    time_retry=FAILED_FOR_S,
                    opts=OPTIONS,
                )
                for one in addresses
            ],
            timeout=timeout_s,
            failover=True,
        )

    def call(self, call: Callable[[Stubs, Any], Any]) -> Any:
        stubs = self._current()
        return call(stubs, self._metadata(stubs))

    def fail_over(self) -> None:
        """Pass the endpoint in use over for a while, where there is another one."""
        with self._lock:
            self._client.endpoint_in_use.fail()

    def forget_login(self) -> None:
        self._token = None

    def close(self) -> None:
        self._client.close()

    def _current(self) -> Stubs:
        with self._lock:
            try:
                channel = self._client.channel
            except etcd3.exceptions.NoServerAvailableError:
                # All have failed a moment ago. Asking one of them again costs a refused connection;
                # refusing to ask would cost the time that it has been back.
                for endpoint in self._client.endpoints.values():
                    endpoint.last_failed = 0
                channel = self._client.channel
            stubs = self._stubs.get(channel)
            if stubs is None:
                stubs = self._stubs[channel] = Stubs(channel)
            return stubs

    def _metadata(self, stubs: Stubs) -> tuple[tuple[str, str], ...]:
        """The token travels as plain metadata: gRPC refuses call credentials on a plaintext channel."""
        if not self._credentials.user:
            return (HAS_LEADER,)
        if self._token is None:
            login = etcdrpc.AuthenticateRequest(
                name=self._credentials.user, password=self._credentials.password or ""
            )
            self._token = str(stubs.auth.Authenticate(login, self._timeout_s).token)
        return (("token", self._token), HAS_LEADER)


def _tls(credentials: Credentials) -> Any:
    """The channel credentials of an https endpoint."""
    return grpc.ssl_channel_credentials(
        credentials.ca.read_bytes() if credentials.ca else None,
        credentials.key.read_bytes() if credentials.key else None,
        credentials.certificate.read_bytes() if credentials.certificate else None,
    )
