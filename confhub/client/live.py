"""An object whose attributes are always those of the current release."""

from typing import Any

from confhub.client.watch import Watch


class Live:
    """Stands for an instance of `model`, which is built once for each release."""

    __slots__ = ("_live_model", "_live_watch")

    def __init__(self, watch: Watch, model: type) -> None:
        object.__setattr__(self, "_live_watch", watch)
        object.__setattr__(self, "_live_model", model)

    def _live_now(self) -> Any:
        """The one instance of the release that this thread or task sees."""
        model: type = object.__getattribute__(self, "_live_model")
        watch: Watch = object.__getattribute__(self, "_live_watch")
        return watch.load(model)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._live_now(), name)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"{name} cannot be set here: it is an entry of the configuration. Change it in ConfHub."
        )

    @property  # type: ignore[misc]  # so that isinstance() says what it stands for
    def __class__(self) -> Any:
        return object.__getattribute__(self, "_live_model")

    def __repr__(self) -> str:
        watch: Watch = object.__getattribute__(self, "_live_watch")
        model: type = object.__getattribute__(self, "_live_model")
        return f"<live {model.__name__}, now of release {watch.current.release}>"
