"""Which source a text is of, by its file's name and by a look at its words. Nothing is parsed."""

import re

_COMPOSE_NAME = re.compile(r"(?:docker-)?compose[\w.-]*\.ya?ml")
_ENV_NAME = re.compile(r"(?:[^/]*\.)?env(?:\.[\w.-]+)?")
_ENDS = {"properties": "properties", "toml": "toml"}
# Each is linear, because nothing bounds the time of a match here.
_API_VERSION = re.compile(r"^apiVersion[ \t]*:|\"apiVersion\"", re.MULTILINE)
_KIND = re.compile(
    r"^[ \t]*(?:-[ \t]+)?kind[ \t]*:[ \t]*[\"']?(?:ConfigMap|Secret|\w{0,40}List)\b"
    r"|\"kind\"[ \t]*:[ \t]*\"(?:ConfigMap|Secret|\w{0,40}List)\"",
    re.MULTILINE,
)
_SERVICES = re.compile(r"^services[ \t]*:[ \t]*(?:#.*)?$|\"services\"[ \t]*:[ \t]*\{", re.MULTILINE)
_OF_A_SERVICE = re.compile(
    r"(?:^[ \t]+|[{,][ \t]*)(?:image|build|environment|env_file)[ \t]*:"
    r"|\"(?:image|build|environment)\"[ \t]*:",
    re.MULTILINE,
)
_CHEF = re.compile(r"\"(?:json_class|chef_type|default_attributes|override_attributes|raw_data)\"")
_CONSUL = re.compile(r"\A\s*\[\s*\{[^{}]*\"[kK]ey\"\s*:")
_ETCD = re.compile(r"\"kvs\"[ \t]*:")
_LINE_OF_ENV = re.compile(r"(?:export\s+)?[A-Za-z0-9_]+=")
_DOTTED = re.compile(r"^[A-Za-z_][\w-]*\.[\w.-]*[ \t]*=", re.MULTILINE)
_LINE_OF_TOML = re.compile(
    r"\[\[?[\w.\"'-]+\]\]?\s*(?:#.*)?$"
    r"|[\w.\"'-]+\s+=\s+(?:[\"'\[{]|[-+]?\d|true\b|false\b)"
)
_LINE_OF_YAML = re.compile(r"---|%YAML|[\"']?[^\s=:#'\"][^=:'\"]*[\"']?\s*:(?:\s|$)")
_LINE_OF_PROPERTIES = re.compile(r"[^\s=]+\s*=")
_LOOKED_AT = 200_000  # characters of the text
_MAX_LINE = 400  # characters of the line that is looked at


def guess(text: str, filename: str = "") -> str:
    """One of SOURCES; what it is not certain of, a preview will show."""
    text = text.removeprefix("\ufeff")[:_LOOKED_AT]
    name = filename.replace("\\", "/").rpartition("/")[2].lower()[-200:]
    if _COMPOSE_NAME.fullmatch(name):
        return "compose"
    ending = name.rpartition(".")[2]
    if ending in _ENDS:
        return _ENDS[ending]
    if _ENV_NAME.fullmatch(name):
        return "env"
    if text.lstrip().startswith(("{", "[")) and not _is_table(text):
        return _of_json(text)
    if _API_VERSION.search(text) and _KIND.search(text):
        return "kubernetes"
    if _SERVICES.search(text) and _OF_A_SERVICE.search(text):
        return "compose"
    return "yaml" if ending in ("yaml", "yml") else _of_lines(text)


def _is_table(text: str) -> bool:
    """TOML begins a table as JSON begins a list."""
    return _LINE_OF_TOML.match(_first_line(text)) is not None


def _of_json(text: str) -> str:
    if _API_VERSION.search(text) and _KIND.search(text):
        return "kubernetes"
    if _ETCD.search(text):
        return "etcd"
    if _CHEF.search(text):
        return "chef"
    if _CONSUL.match(text):
        return "consul"
    is_compose = _SERVICES.search(text) and _OF_A_SERVICE.search(text)
    return "compose" if is_compose else "json"


def _of_lines(text: str) -> str:
    line = _first_line(text)
    if _LINE_OF_ENV.match(line):
        return "properties" if _DOTTED.search(text) else "env"
    if _LINE_OF_TOML.match(line):
        return "toml"
    if _LINE_OF_YAML.match(line):
        return "yaml"
    return "properties" if _LINE_OF_PROPERTIES.match(line) else "env"


def _first_line(text: str) -> str:
    """The first that is neither blank nor a comment."""
    lines = (line.strip() for line in text.splitlines())
    found = (line for line in lines if line and not line.startswith(("#", "!")))
    return next(found, "")[:_MAX_LINE]
