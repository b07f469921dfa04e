"""Every setting that comes from the environment, read once; docs/configuration.md is checked against it."""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from watchers.credentials import Credentials
from watchers.wire.sealing import SealingKey

BASE_DIR = Path(__file__).resolve().parent.parent
# Everything that a run writes; elsewhere for a second one from the same tree.
VAR_DIR = Path(os.environ.get("CONFHUB_VAR_DIR") or BASE_DIR / "var").absolute()

_WORDS = {"true": True, "1": True, "false": False, "0": False}


# Python lets a busy thread keep the interpreter for 5 ms while another waits; a change on its way
# passes through several threads of each process, and waited for most of its time.
SWITCH_S = 0.0005


def name_settings_module() -> None:
    """Point Django at our settings unless something else was chosen, as the tests do."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "confhub.settings")


def text(name: str, default: str = "") -> str:
    """The variable's text, or the content of the file that NAME_FILE names (a mounted secret)."""
    path = os.environ.get(f"{name}_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ImproperlyConfigured(f"{name}_FILE={path!r}: {error.strerror}") from error
    return os.environ.get(name, default)


def flag(name: str, *, default: bool) -> bool:
    """Raises ImproperlyConfigured for anything but true or false."""
    word = text(name).lower()
    if not word:
        return default
    if word not in _WORDS:
        raise ImproperlyConfigured(f"{name}={word!r}: write true or false")
    return _WORDS[word]


def number(name: str, *, default: int) -> int:
    word = text(name)
    try:
        return int(word) if word else default
    except ValueError:
        raise ImproperlyConfigured(f"{name}={word!r}: write a whole number") from None


def words(name: str, *, default: str = "") -> list[str]:
    """A comma list, without its empty places."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def etcd_credentials() -> Credentials:
    """ETCD_USER and ETCD_PASSWORD, ETCD_CA, ETCD_CERT and ETCD_KEY. Raises ImproperlyConfigured."""
    user, password = text("ETCD_USER") or None, text("ETCD_PASSWORD") or None
    certificate, key = _file("ETCD_CERT", text("ETCD_CERT")), _file("ETCD_KEY", text("ETCD_KEY"))
    if (user is None) != (password is None):
        raise ImproperlyConfigured("ETCD_USER and ETCD_PASSWORD are needed together")
    if (certificate is None) != (key is None):
        raise ImproperlyConfigured("ETCD_CERT and ETCD_KEY are needed together")
    return Credentials(user, password, _file("ETCD_CA", text("ETCD_CA")), certificate, key)


def _file(name: str, path: str) -> Path | None:
    """The file that a setting names, once it is known that it can be read."""
    if not path:
        return None
    try:
        with Path(path).open("rb"):
            return Path(path).absolute()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}={path!r}: {error.strerror}") from error


def read_dotenv() -> None:
    """Read `.env` beside manage.py, in development only; what the environment says already wins."""
    environ.Env.read_env(BASE_DIR / ".env", overwrite=False)


def database(url: str) -> dict[str, object]:
    """DATABASE_URL in Django's form, without our options. Raises ImproperlyConfigured."""
    try:
        return dict(environ.Env.db_url_config(url))
    except (ValueError, KeyError, AttributeError) as error:
        raise ImproperlyConfigured(f"DATABASE_URL cannot be read: {error}") from error


def mail(url: str) -> dict[str, object]:
    """EMAIL_URL in Django's form; {} where none is given. Raises ImproperlyConfigured.

    What cannot be read is not quoted, because a password stands in it.
    """
    if not url:
        return {}
    try:
        held = dict(environ.Env.email_url_config(url))
    except (ImproperlyConfigured, ValueError, KeyError, AttributeError):
        raise ImproperlyConfigured(
            "EMAIL_URL cannot be read: write smtp+tls://USER:PASSWORD@HOST:587, or smtp+ssl:// or "
            "smtp:// in front; what is no letter or digit in the password as %40"
        ) from None
    if held["EMAIL_BACKEND"] == "django.core.mail.backends.smtp.EmailBackend":
        held["EMAIL_BACKEND"] = "confhub.webhooks.smtp.BoundedBackend"  # Django's, with a deadline
        usual = 465 if "EMAIL_USE_SSL" in held else 587 if "EMAIL_USE_TLS" in held else 25
        held["EMAIL_PORT"] = held["EMAIL_PORT"] or usual
    return held


def with_ours(**ours: str) -> dict[str, str]:
    """The environment of a process that we start: this one's, with `ours` over it."""
    return {**os.environ, **ours}


def master_keys(*, local: bool) -> str:
    """CONFHUB_MASTER_KEYS, `KID:BASE64` with commas or on lines; locally one kept in
    var/master-keys (mode 0600). "" where there is none; what it says is checked by its reader.
    """
    given = text("CONFHUB_MASTER_KEYS")
    if given or not local:
        return given
    path = VAR_DIR / "master-keys"
    if not path.exists():
        _keep_for_us(path, SealingKey.generate(f"local-{secrets.token_hex(4)}").to_text() + "\n")
    return path.read_text(encoding="utf-8").strip()


def _keep_for_us(path: Path, content: str) -> None:
    """Write a file of mode 0600 that nobody sees half written; one that is there stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(content)
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass  # another process of ours was quicker, and its key is as good
    finally:
        fresh.unlink()


@dataclass(frozen=True)
class SecretKey:
    """The signing key, and whether it was made here for a machine of one's own."""

    value: str
    made_here: bool


def secret_key(*, debug: bool) -> SecretKey:
    """SECRET_KEY, or in development one kept in var/secret-key (mode 0600).

    There is no default outside development, because a known key signs anybody's session.
    """
    given = text("SECRET_KEY")
    if given:
        return SecretKey(given, made_here=False)
    if not debug:
        raise ImproperlyConfigured(
            "SECRET_KEY is not set. Set it to 50 random characters, the same for every process, "
            "or set SECRET_KEY_FILE."
        )
    path = VAR_DIR / "secret-key"
    VAR_DIR.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return SecretKey(path.read_text(encoding="utf-8"), made_here=True)
    made = secrets.token_urlsafe(48)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(made)
    return SecretKey(made, made_here=True)
