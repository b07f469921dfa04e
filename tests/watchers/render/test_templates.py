"""Templates: what they find, and that they can do nothing but compute, and not for long."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from watchers.render.errors import CannotRender
from watchers.render.files import Files
from watchers.render.release import render
from watchers.wire.canonical import Json, checksum
from watchers.wire.documents import ReleaseDocument

VALUES: dict[str, Json] = {
    "MAX": 20, "db.url": "postgres://x/y", "ON": True, "NOTHING": None, "HOSTS": ["b", "a"],
    "LIMITS": {"z": 1, "a": [1.5, "ü<"]}, "SHELL": "it's", "config": "another",
}  # fmt: skip


def rendered(template: str, values: dict[str, Json] = VALUES) -> str:
    entries = {key: {"value": held} for key, held in values.items()}
    document = ReleaseDocument("shop", "dev", 42, checksum(entries), entries)
    files = Files((), (), (("app.conf", "/etc/app.conf.j2"),))
    made = render(document, files, read={"/etc/app.conf.j2": template.encode()}.__getitem__)
    return made["app.conf"].decode()


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("max={{ MAX }}\n", "max=20\n"),
        ("{{ config['db.url'] }} {{ env.DB_URL }}", "postgres://x/y postgres://x/y"),
        ("{{ service }}@{{ environment }} r{{ release }}", "shop@dev r42"),
        ("{{ ON }} {{ NOTHING }} {{ env.ON }} {{ MAX > 5 }}", "true null true true"),
        ("{{ LIMITS }}{{ LIMITS|tojson }}", '{"a":[1.5,"ü<"],"z":1}' * 2),
        ("{{ {'b': 1, 'a': 2}|tojson(indent=1) }}", '{\n "a": 2,\n "b": 1\n}'),
        ("{{ SHELL|quote }} {{ MAX|quote }}", "'it'\"'\"'s' '20'"),
        ("{% for key in config %}{{ key }} {% endfor %}", "HOSTS LIMITS MAX NOTHING ON SHELL config db.url "),
        ("{% for h in HOSTS|sort %}server {{ h }};\n{% endfor %}", "server a;\nserver b;\n"),
        ("{{ MISSING|default('none') }}{% if MISSING is defined %}x{% endif %}", "none"),
    ],
)  # fmt: skip
def test_a_template_finds_the_release(template: str, text: str) -> None:
    assert rendered(template) == text


def test_two_renders_are_equal_byte_for_byte() -> None:
    template = "{{ config }}{{ env|tojson }}{% for k, v in LIMITS|dictsort %}{{ k }}{% endfor %}"

    assert rendered(template) == rendered(template, dict(reversed(VALUES.items())))


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("a\n{{ MISSING }}", r"app.conf \(/etc/app.conf.j2, line 2\): 'MISSING' is undefined"),
        ("{{ LIMITS.nothing.x }}", "has no attribute 'nothing'"),
        ("a\n\n{% if %}", r"line 3\): Expected an expression"),
        ("{{ MAX + SHELL }}", r"line 1\): unsupported operand"),
        ("{{ ().__class__.__mro__ }}", "not allowed: access to attribute '__class__'"),
        ("{{ cycler.__init__.__globals__.os.popen('id') }}", "not allowed: .*__init__"),
        ("{{ '{0.__class__.__mro__}'.format(MAX) }}", "not allowed: .*__class__"),
        ("{{ ''|attr('__class__') }}", "undefined|not allowed"),
        ("{{ config.update({'MAX': 1}) }}", "not allowed: access to attribute 'update'"),
        ("{{ self.__init__.__globals__ }}", "not allowed|undefined"),
        ("{% include '/etc/passwd' %}", "includes /etc/passwd, but a template stands alone"),
        ("{% extends 'base' %}", "a template stands alone"),
        ("{% import 'x' as x %}{{ x.y }}", "a template stands alone"),
        ("{{ [1, 2]|random }}", "No filter named 'random'"),
        ("{{ lipsum() }}", "'lipsum' is undefined"),
        ("{{ config.items }}", "cannot be printed"),
        ("{{ config.items ~ '' }}", "which is no value"),
        ("{{ 'x' * 10**9 }}", "more than 512 MiB of memory"),
        ("{% set x = 'x' * (MAX * 10**8) %}", "more than 512 MiB of memory"),
        ("{% for a in range(99999) %}{{ 'x' * 100 }}{% endfor %}", "more than 1 MiB"),
        ("{{ range(10**9) }}", "Range too big"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls itself without end"),
    ],
)
def test_what_a_template_may_not_do_is_refused_by_name_and_line(template: str, says: str) -> None:
    with pytest.raises(CannotRender, match=says):
        rendered(template)


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{{ 10**(10**9) }}",
    ],
    ids=["a loop", "one long step"],
)
def test_a_template_without_end_is_ended(template: str) -> None:
    with pytest.raises(CannotRender, match="it computed for too long"):
        rendered(template)


def test_a_template_that_cannot_be_read_is_named_and_tried_again() -> None:
    def read(path: str) -> bytes:
        raise FileNotFoundError(2, "No such file or directory", path)

    document = ReleaseDocument("shop", "dev", 1, checksum({}), {})
    with pytest.raises(CannotRender, match=r"/etc/t.j2 cannot be read .*: No such file") as failed:
        render(document, Files((), (), (("x", "/etc/t.j2"),)), read=read)

    assert failed.value.passing


def test_a_template_that_is_no_text_is_refused() -> None:
    document = ReleaseDocument("shop", "dev", 1, checksum({}), {})
    with pytest.raises(CannotRender, match="not UTF-8"):
        render(document, Files((), (), (("x", "/t"),)), read=lambda _: b"\xff")


CONFINED = """
import errno, os, socket, sys
sys.path.insert(0, sys.argv[1])
import sandbox
def fork():
    os.fork() or os._exit(0)  # a child says nothing, for it would say it beside us
sandbox.warm_up()
sandbox.confine()
for attempt in (lambda: open("/etc/passwd"), socket.socket, fork, os.pipe):
    try:
        attempt()
    except OSError as error:
        print(errno.errorcode[error.errno], file=sys.stderr)
    else:
        print("it could", file=sys.stderr)
"""


def test_the_sandbox_can_open_nothing_and_start_nothing() -> None:
    """What would be left to code that got out of Jinja."""
    folder = Path(__file__).parents[3] / "watchers" / "render"

    ended = subprocess.run(
        [sys.executable, "-I", "-c", CONFINED, str(folder)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip

    forked = "EAGAIN"
    if os.geteuid() == 0 and "it could" in ended.stderr:
        forked = "it could"  # a kernel without user namespaces lets root have more processes
    assert ended.stderr.split("\n")[:4] == ["EMFILE", "EMFILE", forked, "EMFILE"]


def test_a_release_without_templates_imports_none_of_it() -> None:
    script = (
        "import sys; import watchers.render.release as r; from watchers.render.files import Files;"
        "from watchers.wire.documents import ReleaseDocument as D;"
        "r.render(D('s', 'e', 1, '', {}), Files());"
        "print([m for m in ('jinja2', 'watchers.render.templates') if m in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout

    assert out.strip() == "[]"
