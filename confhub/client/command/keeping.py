"""Where the address and the token stay between two commands: the system's keyring, or a file of 0600."""

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confhub.client.command.failures import Failure

SERVICE = "confhub"  # its name in the keyring
KEYRING, FILE = "keyring", "file"
_STRONG = 1  # the priority from which a keyring is more than a file (keyring's own scale)


@dataclass(frozen=True)
class Kept:
    """The address of the last sign-in, and each address's token or where it is."""

    url: str
    places: dict[str, str]  # {url: "keyring" or "file"}
    tokens: dict[str, str]  # {url: token}, of those in the file


def load(directory: Path) -> Kept:
    """Raises Failure where the file is there and cannot be read."""
    path = directory / "credentials.json"
    try:
        held: Any = json.loads(path.read_text(encoding="utf-8"))
        return Kept(str(held["url"]), dict(held["places"]), dict(held["tokens"]))
    except FileNotFoundError:
        return Kept("", {}, {})
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}.", code="command.file") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"{path} is damaged. Remove it and sign in again.", code="command.file") from error  # fmt: skip


def token_for(directory: Path, url: str) -> str:
    """The token that was kept for `url`; "" where there is none. Never another address's."""
    held = load(directory)
    if held.places.get(url) == KEYRING:
        return _from_keyring(url)
    return held.tokens.get(url, "")


def keep(directory: Path, url: str, token: str, *, where: str) -> str:
    """Keep it as that of the next commands; `where`: auto, keyring or file. Answers where it is now."""
    held = load(directory)
    if where == "auto":
        where = KEYRING if _into_keyring(url, token) else FILE
    elif where == KEYRING and not _into_keyring(url, token):
        raise Failure(
            "There is no keyring that can be used here. Install the package keyring and unlock one, "
            "or keep the token in a file (--keep file).", code="command.no_keyring",
        )  # fmt: skip
    tokens = {**held.tokens, url: token} if where == FILE else _without(held.tokens, url)
    if where == FILE and held.places.get(url) == KEYRING:
        _out_of_keyring(url)
    _save(directory, Kept(url, {**held.places, url: where}, tokens))
    return where


def forget(directory: Path, url: str) -> bool:
    """Remove the token of `url`; False where none was kept."""
    held = load(directory)
    if url not in held.places:
        return False
    if held.places[url] == KEYRING:
        _out_of_keyring(url)
    _save(directory, Kept(held.url, _without(held.places, url), _without(held.tokens, url)))
    return True


def _without(held: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in held.items() if key != name}


def _save(directory: Path, kept: Kept) -> None:
    """Written beside and renamed, with rights for its owner alone from its first byte on."""
    path = directory / "credentials.json"
    document = {"url": kept.url, "places": kept.places, "tokens": kept.tokens}
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, json.dumps(document, indent=1))
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}.", code="command.file") from error  # fmt: skip


def write_private(path: Path, text: str) -> None:
    """`text` as a file of mode 0600, whole or not at all. Raises OSError."""
    handle, fresh = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(fresh).replace(path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(fresh).unlink()
        raise


# ── the keyring; the package is optional, and every backend has failures of its own ──────────────


def _into_keyring(url: str, token: str) -> bool:
    """False where there is none, or only one that is no better than a file."""
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return False
    try:
        if keyring.get_keyring().priority < _STRONG:
            return False
        keyring.set_password(SERVICE, url, token)
    except (KeyringError, RuntimeError, OSError):
        return False
    return True


def _from_keyring(url: str) -> str:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError as error:
        raise _locked(url, "the package keyring is gone") from error
    try:
        return keyring.get_password(SERVICE, url) or ""
    except (KeyringError, RuntimeError, OSError) as error:
        raise _locked(url, type(error).__name__) from error


def _out_of_keyring(url: str) -> None:
    try:
        import keyring
        from keyring.errors import KeyringError, PasswordDeleteError
    except ImportError as error:
        raise _locked(url, "the package keyring is gone") from error
    try:
        keyring.delete_password(SERVICE, url)
    except PasswordDeleteError:
        return  # nothing is there
    except (KeyringError, RuntimeError, OSError) as error:
        raise _locked(url, type(error).__name__) from error


def _locked(url: str, why: str) -> Failure:
    return Failure(
        f"The token for {url} is in the system's keyring, which cannot be opened here ({why}). "
        "Unlock it, set CONFHUB_TOKEN_FILE, or sign in again with --keep file.",
        code="command.keyring_locked",
    )
