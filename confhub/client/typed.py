"""JSON values as what a program's annotations say, with errors that name the entry.

Nothing is guessed: an entry has a type in ConfHub, so "5" is not taken for 5. A sentence names what
was found by its kind and never by its value, which may be a secret.
"""

import dataclasses
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from confhub.client.errors import BadValue
from watchers.wire.canonical import Json
from watchers.wire.names import env_name

T = TypeVar("T")
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
KINDS: tuple[tuple[type, str], ...] = (
    (bool, "true or false"), (int, "a whole number"), (float, "a number"), (str, "a text"),
    (list, "a list"), (dict, "an object"), (type(None), "null"),
)  # fmt: skip
_MISSING: Any = object()


def value_as(kind: Any, value: Json, *, where: str) -> Any:
    """`value` as a `kind`. `where` names it in sentences: "POOL.max". Raises BadValue, TypeError.

    TypeError says that no JSON value can become a `kind`, which is the program's own mistake.
    """
    if kind is Any or kind is object:
        return value
    origin = get_origin(kind)
    if origin is Annotated:
        return value_as(get_args(kind)[0], value, where=where)
    if origin in (Union, types.UnionType):
        return _one_of(get_args(kind), value, where)
    if origin is Literal:
        return _listed(get_args(kind), value, where)
    if hasattr(kind, "__supertype__"):  # a NewType
        return value_as(kind.__supertype__, value, where=where)
    if origin is not None or kind in _CONTAINERS:
        return _container(kind, origin or kind, value, where)
    if isinstance(kind, type) and (is_pydantic(kind) or dataclasses.is_dataclass(kind)):
        if not isinstance(value, dict):
            raise _wrong(where, f"an object with the fields of {kind.__name__}", value)
        return build(kind, value, what=where, inside=f"{where}.")
    return _plain(kind, value, where)


def build(model: type[T], values: Mapping[str, Json], *, what: str, inside: str = "") -> T:
    """`values` as a `model`, a dataclass or a pydantic model; all that is wrong is said at once.

    `what` holds the values ("release 42"); `inside` stands before a key. Raises BadValue, TypeError.
    """
    if is_pydantic(model):
        return _pydantic(model, values, what, inside)
    if not dataclasses.is_dataclass(model):
        raise TypeError(f"{model!r} is neither a dataclass nor a pydantic model.")
    hints = get_type_hints(model, include_extras=True)
    made: dict[str, Any] = {}
    wrong: list[str] = []
    for field in dataclasses.fields(model):
        if not field.init:
            continue
        name = field.metadata.get("key", field.name)
        key, value = find(name, values, nested=_is_model(hints[field.name]))
        try:
            if value is not _MISSING:
                made[field.name] = value_as(hints[field.name], value, where=f"{inside}{key}")
            elif not _has_default(field):
                said = name if inside else key
                wrong.append(f"{inside}{said}: {what} has no such entry, and {model.__name__}."
                             f"{field.name} has no default.")  # fmt: skip
        except BadValue as error:
            wrong.append(str(error))
    if wrong:
        raise BadValue("\n".join(wrong))
    return _construct(model, made)


def _construct(model: type[T], made: dict[str, Any]) -> T:
    try:
        return model(**made)
    except BadValue:
        raise
    except ValueError as error:  # of its __post_init__: the program's own rule
        raise BadValue(f"{model.__name__}: {error}") from error


def find(name: str, values: Mapping[str, Json], *, nested: bool = False) -> tuple[str, Any]:
    """(the entry's key, its value) for a field: by its name, or as environment variables compare.

    For a `nested` one without an entry of its own, `db.url` and `db.pool` make up `db`.
    """
    if name in values:
        return name, values[name]
    variable = env_name(name)
    for key, value in values.items():
        if env_name(key) == variable:
            return key, value
    if nested:
        below = {
            key[len(name) + 1 :]: value
            for key, value in values.items()
            if env_name(key[: len(name)]) == variable and key[len(name) : len(name) + 1] == "."
        }
        if below:
            return name, below
    return name.upper() if name.islower() else name, _MISSING


def is_pydantic(model: Any) -> bool:
    """By what it can do: pydantic is not needed, and not imported."""
    return isinstance(model, type) and hasattr(model, "model_validate")


# ── one value ─────────────────────────────────────────────────────────────────────────────────────


def _one_of(kinds: Sequence[Any], value: Json, where: str) -> Any:
    problems = []
    for kind in sorted(kinds, key=lambda kind: kind is not type(value)):  # the exact one first
        try:
            return value_as(kind, value, where=where)
        except BadValue as error:
            problems.append(error)
    told = [kind for kind in kinds if kind is not type(None)]
    if len(told) == 1 and problems:
        raise problems[0] if told[0] is not type(value) else problems[-1]
    raise _wrong(where, " or ".join(_name(kind) for kind in kinds), value)


def _listed(words: Sequence[Any], value: Json, where: str) -> Any:
    for word in words:
        if type(word) is type(value) and word == value:
            return word
    raise _wrong(where, f"one of {', '.join(map(repr, words))}", value, another=True)


def _container(kind: Any, origin: Any, value: Json, where: str) -> Any:
    make = _CONTAINERS.get(origin)
    if make is None:
        raise TypeError(f"{where}: no JSON value can become {kind!r}.")
    arguments = get_args(kind)
    if make is dict:
        if not isinstance(value, dict):
            raise _wrong(where, "an object", value)
        inner = arguments[1] if len(arguments) == 2 else Any
        return {key: value_as(inner, held, where=f"{where}.{key}") for key, held in value.items()}
    if not isinstance(value, list):
        raise _wrong(where, "a list", value)
    return make(
        value_as(inner, held, where=f"{where}[{at}]")
        for at, (inner, held) in enumerate(zip(_inner(origin, arguments, value, where), value, strict=True))
    )  # fmt: skip


def _inner(origin: Any, arguments: tuple[Any, ...], value: list[Any], where: str) -> Iterable[Any]:
    """The kind of each element."""
    if origin is tuple and arguments and arguments[-1] is not ...:
        if len(arguments) != len(value):
            raise BadValue(f"{where}: wanted {len(arguments)} elements, found {len(value)}.")
        return arguments
    return [arguments[0] if arguments else Any] * len(value)


_CONTAINERS: dict[Any, Callable[[Iterable[Any]], Any]] = {
    list: list, tuple: tuple, set: set, frozenset: frozenset, dict: dict, Sequence: list,
    Mapping: dict,
}  # fmt: skip


def _plain(kind: Any, value: Json, where: str) -> Any:
    if kind in (bool, str, type(None), None):
        if type(value) is not (type(None) if kind is None else kind):
            raise _wrong(where, _name(kind), value)
        return value
    if kind is int or kind is float:
        return _number(kind, value, where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enumerated(kind, value, where)
    if kind is timedelta:
        return _duration(value, where)
    if kind is Decimal:
        return _decimal(value, where)
    if kind is Path:
        return Path(_plain(str, value, where))
    raise TypeError(f"{where}: no JSON value can become {kind!r}.")


def _number(kind: type, value: Json, where: str) -> int | float:
    """A number with no fraction is whole, because JSON has only numbers."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(where, _name(kind), value)
    if kind is int and isinstance(value, float) and not value.is_integer():
        raise _wrong(where, _name(kind), value)
    made: int | float = kind(value)
    return made


def _enumerated(kind: type[Enum], value: Json, where: str) -> Enum:
    for member in kind:
        if type(member.value) is type(value) and member.value == value:
            return member
    if isinstance(value, str) and value in kind.__members__:
        return kind[value]
    words = ", ".join(repr(member.value) for member in kind)
    raise _wrong(where, f"one of {words}", value, another=True)


def _duration(value: Json, where: str) -> timedelta:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value)
    found = DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise _wrong(
            where, "a time: a number of seconds, or a text such as '500ms', '2s', '1h'", value
        )
    return timedelta(seconds=float(found[1]) * UNITS_S[found[2]])


def _decimal(value: Json, where: str) -> Decimal:
    try:
        if isinstance(value, str | int) and not isinstance(value, bool):
            return Decimal(value)
    except InvalidOperation:
        pass
    raise _wrong(where, "a decimal number: a whole number, or its digits as a text", value)


def _wrong(where: str, wanted: str, value: Json, *, another: bool = False) -> BadValue:
    found = next(name for kind, name in KINDS if type(value) is kind)
    if another and isinstance(value, str | int | float):
        found = f"another {found.removeprefix('a ')}"
    if isinstance(value, str) and not another:
        found += f" of {len(value)} character{'s' * (len(value) != 1)}"
    if isinstance(value, float) and not value.is_integer():
        found = "a number with a fraction"
    return BadValue(f"{where}: wanted {wanted}, found {found}.")


def _name(kind: Any) -> str:
    for known, name in KINDS:
        if kind is known:
            return name
    return getattr(kind, "__name__", str(kind))


# ── models ────────────────────────────────────────────────────────────────────────────────────────


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return (
        field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    )


def _is_model(kind: Any) -> bool:
    kinds = get_args(kind) if get_origin(kind) in (Union, types.UnionType, Annotated) else (kind,)
    return any(is_pydantic(one) or dataclasses.is_dataclass(one) for one in kinds)


def _pydantic(model: type[T], values: Mapping[str, Json], what: str, inside: str) -> T:
    """Its own validation decides; we find the entry of each field, and speak for what it says."""
    described = cast(Any, model)
    keys: dict[str, str] = {}  # {what pydantic calls it: the entry}
    given: dict[str, Any] = {}
    extra = described.model_config.get("extra") == "allow"
    for name, field in described.model_fields.items():
        called = field.validation_alias if isinstance(field.validation_alias, str) else name
        key, value = find(called, values, nested=_is_model(field.annotation))
        keys[called] = keys[name] = key
        if value is not _MISSING:
            given[called] = value
    if extra:
        given |= {key: held for key, held in values.items() if key not in keys.values()}
    try:
        return cast(T, described.model_validate(given))
    except ValueError as error:
        if not hasattr(error, "errors"):
            raise
        lines = [_said(one, keys, inside, what) for one in error.errors()]
        raise BadValue("\n".join(lines)) from None  # its own text shows the values


def _said(one: Mapping[str, Any], keys: Mapping[str, str], inside: str, what: str) -> str:
    first, *rest = one["loc"] or ("",)
    where = ".".join([keys.get(str(first), str(first)), *map(str, rest)])
    if one["type"] == "missing":
        return f"{inside}{where}: {what} has no such entry, and it has no default."
    return f"{inside}{where}: {one['msg']}."
