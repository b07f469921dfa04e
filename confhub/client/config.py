"""`Config`: what a program calls."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast, overload

from confhub.client.errors import ConfigError
from confhub.client.followed import FollowedSource, Joining
from confhub.client.live import Live
from confhub.client.snapshot import Change, Snapshot
from confhub.client.sources import DirectorySource, Source
from confhub.client.watch import Callback, Watch
from watchers import options
from watchers.wire.canonical import Json
from watchers.wire.names import BadName, check_slug

D = TypeVar("D")
T = TypeVar("T")
F = TypeVar("F", bound=Callback)
_NOTHING: Any = object()
WAIT_S = 10.0
SOAK_S = 2.0
DELIVERED = Path("/run/confhub")  # where an agent writes unless a label says otherwise


class Config:
    """The configuration of one service in one environment, always the newest accepted release.

    Nothing is read before the first use. Threads, tasks and forked children may all use one object.
    """

    def __init__(
        self,
        *,
        service: str = "",
        environment: str = "",
        directory: str | Path | None = None,
        instance: str = "",
        state_dir: str | Path | None = None,
        wait_s: float = WAIT_S,
        soak_s: float = SOAK_S,
    ) -> None:
        """Where it is read from, the first of these that is told:

        `directory`, or CONFHUB_DIR, which `confhub run` sets: files that somebody delivers;
        `service` and `environment`, or CONFHUB_SERVICE and CONFHUB_ENVIRONMENT: etcd, followed by a
        process that all programs of this user on this host share for them; else /run/confhub.

        `wait_s`: how long the first use waits for a first configuration. `instance`, `state_dir` and
        `soak_s` are the follower's: the id in the dashboard, where it keeps what it knows, and how
        long all processes must hold a release until it is confirmed. Raises ConfigError.
        """
        told = options.for_client()
        scope = service or told.service, environment or told.environment
        source: Source
        if directory or told.directory:
            source = DirectorySource(Path(directory or told.directory).absolute(), told.report)
        elif all(scope):
            source = FollowedSource(
                _joining(*scope, instance or told.instance, state_dir, soak_s=soak_s)
            )
        elif not any(scope) and DELIVERED.is_dir():
            source = DirectorySource(DELIVERED, told.report)
        else:
            raise ConfigError(_nowhere(*scope))
        self._watch = Watch(source, wait_s)

    # ── reading ───────────────────────────────────────────────────────────────────────────────

    def __getitem__(self, key: str) -> Json:
        """Raises MissingKey."""
        return self._watch.current[key]

    def __contains__(self, key: object) -> bool:
        return key in self._watch.current

    def __iter__(self) -> Iterator[str]:
        return iter(self._watch.current)

    def __len__(self) -> int:
        return len(self._watch.current)

    def keys(self) -> list[str]:
        return list(self._watch.current)

    @overload
    def get(self, key: str, default: None = None) -> Json: ...
    @overload
    def get(self, key: str, default: D) -> Json | D: ...
    @overload
    def get(self, key: str, *, type: type[T]) -> T: ...
    @overload
    def get(self, key: str, default: D, *, type: type[T]) -> T | D: ...
    def get(self, key: str, default: Any = _NOTHING, *, type: Any = None) -> Any:
        """The entry as a `type`; `default` where there is none. Raises BadValue, MissingKey."""
        told = {} if default is _NOTHING else {"default": default}
        return self._watch.current.get(key, **told, type=type)

    def at_start(self, key: str, default: Any = _NOTHING, *, type: Any = None) -> Any:
        """As `get`, for what is read once: a release that changes it waits for a restart, and says so."""
        told = {} if default is _NOTHING else {"default": default}
        with self.snapshot() as snapshot:
            value = snapshot.get(key, **told, type=type)
            self._watch.read_at_start(key)
        return value

    def load(self, model: type[T]) -> T:
        """The current release as a `model`, a dataclass or a pydantic model.

        From now on a release that cannot become one is refused. Raises BadValue, TypeError.
        """
        return self._watch.load(model)

    def live(self, model: type[T]) -> T:
        """An object that reads like `load(model)` does, anew at each access."""
        return cast(T, Live(self._watch, model))

    @property
    def current(self) -> Snapshot:
        """The current release as one immutable mapping."""
        return self._watch.current

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """`with config.snapshot():` inside, this thread or task sees one release, whatever comes."""
        return self._watch.pinned(self._watch.current)

    @property
    def release(self) -> int:
        """The number of the current release."""
        return self._watch.current.release

    @property
    def trouble(self) -> str:
        """Why this process refused a newer release; "" once it has taken another one."""
        return self._watch.trouble

    # ── being told ────────────────────────────────────────────────────────────────────────────

    def on_change(self, callback: F) -> F:
        """`@config.on_change` has `callback(new, old, changed_keys)` called before a release is taken.

        Inside it the new release is the current one; for others it becomes so once every callback
        has returned. One that raises refuses the release: the old one is kept, callbacks that had
        returned are called with (old, new), and the receipt has failed. It is called in the thread
        that looks for releases, so one that waits keeps the next release waiting.
        """
        if inspect.iscoroutinefunction(callback):
            raise TypeError(
                f"{callback.__name__} is a coroutine function, and on_change calls from a thread: "
                "write `async for change in config.changes()`."
            )
        self._watch.call(callback)
        return callback

    async def changes(self) -> AsyncIterator[Change]:
        """Each change from now on. One that is slow gets several releases as one change."""
        await asyncio.to_thread(self._watch.start)
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(changed.set)

        self._watch.wake_also(wake)
        try:
            seen = self._watch.current
            while True:
                await changed.wait()
                changed.clear()
                now = self._watch.current
                if now is not seen:
                    seen, old = now, seen
                    yield Change(new=now, old=old)
        finally:
            self._watch.wake_no_more(wake)

    def wait(self, timeout_s: float | None = None, *, after: Snapshot | None = None) -> bool:
        """True as soon as another release than `after`, or than now, is taken; False when none was."""
        seen = self._watch.current if after is None else after
        return self._watch.wait_for_other(seen, timeout_s)

    # ── beginning and ending ──────────────────────────────────────────────────────────────────

    def start(self) -> Self:
        """Read the first release now, and report it. Raises NoConfiguration."""
        self._watch.start()
        return self

    def report(self) -> None:
        """Say once more which release this process has loaded; begins it where nothing was read yet."""
        self._watch.start()
        self._watch.report_again()

    def close(self) -> None:
        """Hear of no more releases. What was read last stays readable."""
        self._watch.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


def _joining(
    service: str, environment: str, instance: str, state_dir: str | Path | None, *, soak_s: float
) -> Joining:
    try:
        told = options.from_environment()
        check_slug(service, what="service")
        check_slug(environment, what="environment")
    except (options.BadOption, BadName) as error:
        raise ConfigError(str(error)) from error
    return Joining(
        service=service,
        environment=environment,
        instance=told.instance_id(service, environment, instance or None),
        state_dir=Path(state_dir).absolute() if state_dir else told.state_dir,
        endpoints=told.endpoints,
        prefix=told.keyspace.prefix,
        soak_s=soak_s,
    )


def _nowhere(service: str, environment: str) -> str:
    if service or environment:
        return (
            f"service={service!r}, environment={environment!r}: both are needed. Write them in "
            "Config(…), or set CONFHUB_SERVICE and CONFHUB_ENVIRONMENT."
        )
    return (
        "Nothing says whose configuration this is. Write Config(service=…, environment=…), or set "
        "CONFHUB_SERVICE and CONFHUB_ENVIRONMENT; where `confhub agent` or `confhub run` delivers the "
        f"files, set CONFHUB_DIR or mount them at {DELIVERED}."
    )


__all__ = ["Config"]
