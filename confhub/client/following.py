"""What the follower does: an agent of one instance, whose processes come and go."""

import contextlib
import json
import os
import selectors
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any

from confhub.client.clients import Clients, parse
from confhub.client.followed import MESSAGE_BYTES, listen
from confhub.client.reports import Report
from confhub.client.runtime import ClientsRuntime
from watchers import logs, options, processes
from watchers.agent import Agent
from watchers.etcd import Etcd

FIRST_S = 10.0  # for the first program to join
LINGER_S = 2.0  # after the last one has left: a program that begins anew finds us still there
ANSWER_S = 5.0  # without a word from etcd for so long, the last known good release is taken
AGAIN_S = 5.0
LOOK_S = 0.05  # until there is something to read; then LATER_S
LATER_S = 1.0
SETTLE_S = 8.0


class Follower:
    """Serves the programs of one instance."""

    def __init__(self, folder: Path, asked: dict[str, Any]) -> None:
        told = options.from_environment()
        logs.configure(level=told.log_level, as_json=told.log_json)
        self._endpoints = tuple(asked["endpoints"])
        self._service, self._environment = asked["service"], asked["environment"]
        self._id = asked["instance"]
        files = folder / "files"
        files.mkdir(exist_ok=True, mode=0o755)
        self._folder, self._clients = folder, Clients()
        self._runtime = ClientsRuntime(
            (self._id, self._service, self._environment), files, self._clients,
            soak_s=asked["soak_s"],
        )  # fmt: skip
        self._etcd = Etcd(self._endpoints, credentials=told.credentials)
        self._agent = Agent(
            self._etcd, told.keyspace, [self._runtime], folder / "state", told.host,
            ends_with_us=True,
        )  # fmt: skip
        self._stop = threading.Event()
        self._ready: dict[str, Any] = {"ready": False, "reason": ""}

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        listener = listen(self._folder)
        serving = threading.Thread(target=self._serve, args=(listener,), name="socket", daemon=True)
        agent = threading.Thread(target=self._agent.run, args=(self._stop,), name="agent")
        serving.start()
        agent.start()
        self._watch()
        # First of all, so that whoever comes now begins another one instead of joining us.
        (self._folder / "socket").unlink(missing_ok=True)
        self._stop.set()
        self._clients.close()
        agent.join(SETTLE_S)
        serving.join(LATER_S)
        self._etcd.close()
        return 0

    # ── is there something to read? ───────────────────────────────────────────────────────────

    def _watch(self) -> None:
        """Keep `ready` true to what is, until nobody needs us any more."""
        began = time.monotonic()
        tried_at = 0.0
        while not self._stop.wait(LATER_S / 4 if self._ready["ready"] else LOOK_S):
            if self._is_left(began) or self._is_done_waiting():
                return
            self._runtime.look_at_clients()
            if self._is_delivered():
                self._say(ready=True, reason="")
            elif reason := self._why_not(time.monotonic() - began):
                again = reason != self._ready["reason"] or time.monotonic() - tried_at > AGAIN_S
                if not self._ready["ready"] and again:
                    tried_at = time.monotonic()
                    self._say(ready=self._agent.fall_back(self._id), reason=reason)

    def _is_left(self, began: float) -> bool:
        if self._clients.now():
            return False
        if self._clients.had_any:
            return time.monotonic() - self._clients.empty_since > LINGER_S
        return time.monotonic() - began > FIRST_S

    def _is_done_waiting(self) -> bool:
        """All programs that had to begin anew have done so: our successor looks at them afresh."""
        status = self._runtime.latest()
        receipt = status.receipt if status else None
        if receipt is None or not receipt.pending_restart or receipt.state != "delivered":
            return False
        clients = self._clients.now()
        return (
            bool(clients)
            and all(one.report is not None and one.report.ok for one in clients)
            and not self._clients.pending_restart()
        )

    def _is_delivered(self) -> bool:
        status = self._runtime.latest()
        if status is None or status.receipt is None or status.target is None:
            return False
        return status.receipt.release == status.target and status.receipt.state != "failed"

    def _why_not(self, waited_s: float) -> str:
        status = self._runtime.latest()
        if status is not None and status.receipt is not None and status.receipt.state == "failed":
            return f"Release {status.receipt.release} failed: {status.receipt.reason}"
        if self._agent.is_empty(self._service, self._environment):
            return f"nothing has been published for {self._service} in {self._environment} yet"
        if silence := self._agent.silence():
            return silence
        return f"etcd has said nothing within {ANSWER_S:g} s" if waited_s > ANSWER_S else ""

    def _say(self, *, ready: bool, reason: str) -> None:
        told: dict[str, Any] = {"ready": ready, "reason": reason}
        if ready and not self._ready["ready"]:
            # Not before: programs wait for this word, so nothing could be proven by them until then.
            self._runtime.started(processes.identify(os.getpid()))
        if told != self._ready:
            self._ready = told
            self._clients.tell(told)

    # ── the socket ────────────────────────────────────────────────────────────────────────────

    def _serve(self, listener: socket.socket) -> None:
        with selectors.DefaultSelector() as selector, listener:
            selector.register(listener, selectors.EVENT_READ)
            while not self._stop.is_set():
                for key, _ in selector.select(LATER_S / 4):
                    if key.fileobj is listener:
                        self._welcome(listener, selector)
                    elif isinstance(key.fileobj, socket.socket) and not self._hears(key.fileobj):
                        selector.unregister(key.fileobj)
                        self._clients.leave(key.fileobj)
                        key.fileobj.close()
            for key in list(selector.get_map().values()):
                if isinstance(key.fileobj, socket.socket):
                    key.fileobj.close()

    def _welcome(self, listener: socket.socket, selector: selectors.BaseSelector) -> None:
        with contextlib.suppress(OSError):  # it has gone again
            link, _ = listener.accept()
            link.setblocking(False)
            selector.register(link, selectors.EVENT_READ)

    def _hears(self, link: socket.socket) -> bool:
        """Take one message; False when the connection is over."""
        try:
            raw = link.recv(MESSAGE_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        told = parse(raw)
        if not raw or "bye" in told:
            return False
        try:
            if "hello" in told:
                return self._greet(link, told["hello"])
            self._clients.heard(link, Report.from_json(told["report"]))
        except (KeyError, TypeError, ValueError):
            return False  # it speaks another language, so nothing it says can be relied on
        return True

    def _greet(self, link: socket.socket, hello: dict[str, Any]) -> bool:
        """Let it join, unless it wants another etcd than ours."""
        if tuple(hello["endpoints"]) != self._endpoints:
            text = (
                f"Instance {self._id} is followed at {', '.join(self._endpoints)} by process "
                f"{os.getpid()}, which ends with the programs that began it; "
                f"{', '.join(hello['endpoints'])} is followed after that. Where both are wanted, give "
                "them different names with CONFHUB_INSTANCE."
            )
            with contextlib.suppress(OSError):
                link.send(json.dumps({"differs": text}).encode())
            return False
        self._clients.join(link, str(hello.get("program", "?"))[:80])
        with contextlib.suppress(OSError):
            link.send(json.dumps(self._ready).encode())
        return True
