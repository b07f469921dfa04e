"""A gRPC proxy in front of etcd that can make a watch deaf, hold it back, or lose single answers."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from etcd3 import etcdrpc

WATCH = "/etcdserverpb.Watch/Watch"
STREAMS = (WATCH, "/etcdserverpb.Lease/LeaseKeepAlive")


class GrpcProxy(grpc.GenericRpcHandler):
    """Forwards every call to etcd at `target` as bytes; tests bend what they must."""

    def __init__(self, target: str) -> None:
        self.hides_event: Callable[[Any], bool] = lambda event: False
        self.keeps_dead_watches = False  # a watch that etcd ended stays open here, and silent
        self.fails_with: grpc.StatusCode | None = None
        self.watches_may_start = threading.Event()
        self.watches_may_start.set()
        self.calls: list[str] = []
        self._channel = grpc.insecure_channel(
            target, options=[("grpc.max_reconnect_backoff_ms", 200)]
        )
        self._server = grpc.server(ThreadPoolExecutor(32), handlers=(self,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> "GrpcProxy":
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.keeps_dead_watches = False
        self.watches_may_start.set()
        self._server.stop(0).wait(5)
        self._channel.close()

    def service(self, handler_call_details: Any) -> Any:
        method = handler_call_details.method
        if method in STREAMS:
            return grpc.stream_stream_rpc_method_handler(
                lambda requests, context: self._stream(method, requests, context)
            )
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: self._unary(method, request, context)
        )

    def _unary(self, method: str, request: bytes, context: Any) -> bytes:
        self.calls.append(method)
        if self.fails_with is not None:
            context.abort(self.fails_with, "made to fail")
        call = self._channel.unary_unary(method)
        try:
            answer: bytes = call(
                request, context.time_remaining(), metadata=_told(context), wait_for_ready=False
            )
        except grpc.RpcError as failed:
            context.abort(failed.code(), failed.details())
        return answer

    def _stream(self, method: str, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        self.calls.append(method)
        if method == WATCH:
            self.watches_may_start.wait()
        call = self._channel.stream_stream(method)(requests, metadata=_told(context))
        context.add_callback(call.cancel)
        try:
            for answer in call:
                yield self._without_hidden(answer) if method == WATCH else answer
        except grpc.RpcError as failed:
            while self.keeps_dead_watches and context.is_active():
                threading.Event().wait(0.05)
            if context.is_active():
                context.abort(failed.code(), failed.details())

    def _without_hidden(self, answer: bytes) -> bytes:
        held = etcdrpc.WatchResponse.FromString(answer)
        shown = [event for event in held.events if not self.hides_event(event)]
        del held.events[:]
        held.events.extend(shown)
        raw: bytes = held.SerializeToString()
        return raw


def _told(context: Any) -> list[tuple[str, str]]:
    """The caller's own metadata, without what the transport adds by itself."""
    wanted = ("token", "hasleader")
    return [(key, value) for key, value in context.invocation_metadata() if key in wanted]
