"""The page that imports and exports: preview, confirm, and no text of anybody's in between."""

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from confhub.access import actions as access
from confhub.access import grants
from confhub.catalog.models import Scope
from confhub.events.models import AuditEntry, Event
from confhub.releases import actions
from confhub.releases.models import Draft, DraftChange
from confhub.releases.queries import draft_of
from dashboard import carried
from tests.parts.factories import ANN, BEN, NOON, a_scope

AT = "/services/billing/dev/config/import/"
EXPORT = "/services/billing/dev/config/export/"
CANARY = "canary-e1d0"
ENV = "".join(f"KEY_{number}=value {number}\n" for number in range(48)) + "POOL=30\nURL='a<b>&c'\n"
SECRET = f"apiVersion: v1\nkind: Secret\nstringData: {{TOKEN: {CANARY}}}\n"


def text(answer: Any) -> str:
    return str(answer.content.decode())


def rows() -> list[Any]:
    tables: Any = (Draft, DraftChange, AuditEntry, Event)
    return [row for table in tables for row in table.objects.order_by("pk").values()]


def hidden(answer: Any, button: str = "import") -> dict[str, str]:
    """The fields of the form whose button is `button`, as a browser would send them."""
    form = next(
        part for part in re.findall(r"<form.*?</form>", text(answer), re.DOTALL)
        if f'name="act" value="{button}"' in part
    )  # fmt: skip
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form)
    return {name: value for name, value in fields if name != "csrfmiddlewaretoken"}


def preview(client: Client, **sent: Any) -> Any:
    return client.post(AT, {"act": "preview", **sent})


def test_fifty_lines_of_env_in_three_steps(admin: Client, scope: Scope) -> None:
    page = admin.get(AT)  # paste, look, take
    assert page.status_code == 200
    assert text(admin.get("/services/billing/dev/config/")).count(f'href="{AT}"') == 1
    before = rows()

    seen = preview(admin, text=ENV, source="")

    assert seen.status_code == 200
    assert rows() == before
    assert "Read as .env." in text(seen)
    assert "49 added" in text(seen)
    assert "1 changed" in text(seen)
    assert "a&lt;b&gt;&amp;c" in text(seen)
    done = admin.post(AT, {"act": "import", **hidden(seen)})
    assert (done.status_code, done["Location"]) == (302, "/services/billing/dev/review/")
    draft = draft_of(scope)
    assert len(draft.set) == 50
    assert draft.set["POOL"] == 30
    assert "50 keys of the draft changed." in text(admin.get(done["Location"]))


def test_the_text_itself_never_stands_in_a_page(admin: Client, scope: Scope) -> None:
    seen = preview(admin, text=SECRET)
    broken = preview(admin, text=f"{SECRET}: :\n", source="kubernetes")
    done = admin.post(AT, {"act": "import", **hidden(seen)}, follow=True)

    assert draft_of(scope).changes[0].entry["secret"] is True
    assert broken.status_code == 422
    for answer in (seen, broken, done):
        assert CANARY not in text(answer)


def test_a_file_is_read_by_its_name(admin: Client, scope: Scope) -> None:
    file = SimpleUploadedFile("docker-compose.yml", b"services:\n  a: {environment: {A: 1}}\n")

    seen = preview(admin, file=file)

    assert "Read as Docker Compose file." in text(seen)
    assert "These are the variables of the service a." in text(seen)
    admin.post(AT, {"act": "import", **hidden(seen)})
    assert draft_of(scope).set == {"A": "1"}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (".env", b"A=\xff\xfe", "no text in UTF-8"),
        (".env", b"A=" + b"x" * (1 << 20), "at most 1,048,576 are read"),
        (".env", b"A=1\nnothing\n", "Line 2: "),
    ],
)
def test_a_file_that_cannot_be_read_says_why(
    admin: Client, scope: Scope, name: str, content: bytes, words: str
) -> None:
    before = rows()

    refused = preview(admin, file=SimpleUploadedFile(name, content))

    assert refused.status_code == 422
    assert words in text(refused)
    assert rows() == before


def test_a_text_can_be_read_otherwise_without_pasting_it_again(admin: Client, scope: Scope) -> None:
    compose = "services:\n  a: {environment: [A=1]}\n  b: {environment: [B=1]}\n"
    refused = preview(admin, text=compose)
    assert refused.status_code == 422
    assert "<option>a</option><option>b</option>" in text(refused)

    seen = preview(admin, **hidden(refused, "preview"), item="b", text="")

    assert 'data-key="B"' in text(seen)
    assert 'data-key="A"' not in text(seen)
    admin.post(AT, {"act": "import", **hidden(seen)})
    assert draft_of(scope).set == {"B": "1"}


def test_what_is_skipped_renamed_or_dangling_is_listed(admin: Client, scope: Scope) -> None:
    seen = text(preview(admin, text="1A=x\nPOOL=20\nBAD=${NONE}\n☃=1\n"))

    for words in ("Skipped: 1", "Nothing of its name can be part of a key.", "Renamed: 1",
                  "becomes _1A", "References without a target: 1", "1 key has the value already",
                  "1 other of the draft stays"):  # fmt: skip
        assert words in seen, words


def test_replacing_says_on_the_button_what_goes(admin: Client, scope: Scope) -> None:
    seen = preview(admin, text="POOL=1\n", replace="on")

    assert "Take 1 key into the draft and remove 1</button>" in text(seen)
    admin.post(AT, {"act": "import", **hidden(seen)})
    assert (draft_of(scope).set, draft_of(scope).unset) == ({"POOL": 1}, ["nginx.conf"])


def test_nothing_new_has_no_button(admin: Client, scope: Scope) -> None:
    seen = text(preview(admin, text="POOL=20\n"))

    assert "The draft has all of it already" in seen
    assert 'value="import"' not in seen


def test_a_draft_that_moved_shows_the_new_difference(admin: Client, scope: Scope) -> None:
    seen = preview(admin, text="POOL=30\nOTHER=2\n")
    actions.change_draft(scope, set={"OTHER": "1"}, expected=None, who=BEN, now=NOON)
    before = rows()

    stale = admin.post(AT, {"act": "import", **hidden(seen)})

    assert stale.status_code == 412
    assert "Nothing was imported." in text(stale)
    assert "2 changed" in text(stale)
    assert rows() == before
    assert admin.post(AT, {"act": "import", **hidden(stale)}).status_code == 302
    assert draft_of(scope).set == {"OTHER": "2", "POOL": 30}


@pytest.mark.parametrize("held", ["", "nonsense", "other place", "other person"])
def test_a_confirmation_without_its_text_changes_nothing(
    admin: Client, scope: Scope, held: str
) -> None:
    tokens = {
        "other place": carried.sealed("A=1\n", "", owner="admin", place="scope.0"),
        "other person": carried.sealed("A=1\n", "", owner="eve", place=scope.stream),
    }
    before = rows()

    refused = admin.post(
        AT, {"act": "import", "held": tokens.get(held, held), "source": "env", "version": "2"}
    )

    assert refused.status_code == 422
    assert rows() == before


def test_a_confirmation_without_a_version_changes_nothing(admin: Client, scope: Scope) -> None:
    sent = hidden(preview(admin, text="A=1\n"))
    before = rows()

    assert admin.post(AT, {"act": "import", **sent, "version": ""}).status_code == 412
    assert rows() == before


def test_a_long_difference_is_drawn_in_part_and_taken_whole(admin: Client, scope: Scope) -> None:
    seen = preview(admin, text="".join(f"K{number}=1\n" for number in range(600)))

    assert "100 more keys would change" in text(seen)
    assert text(seen).count('class="diff-key panel"') == 500
    admin.post(AT, {"act": "import", **hidden(seen)})
    assert len(draft_of(scope).set) == 600


def test_who_may_not_edit_may_export(client: Client, scope: Scope) -> None:
    vic = access.make_person("vic", who=ANN, now=NOON)
    grants.grant(vic, role="viewer", who=ANN, now=NOON)
    client.force_login(vic)
    before = rows()

    assert "needs-editor" in text(client.get(AT))
    assert preview(client, text="A=1\n").status_code == 403
    assert (
        client.get(EXPORT, {"format": "env", "of": "draft", "secrets": "masked"}).status_code == 200
    )
    assert rows() == before


def test_an_export_is_a_download(admin: Client, scope: Scope) -> None:
    answer = admin.get(EXPORT, {"format": "env", "of": "release", "secrets": "masked"})

    assert answer.content.startswith(b"NGINX_CONF='server {\n")
    assert answer["Content-Disposition"] == 'attachment; filename="billing-dev-r2.env"'


def test_an_export_that_cannot_be_comes_back_with_the_reason(admin: Client, scope: Scope) -> None:
    actions.change_draft(scope, set={"N": None}, expected=None, who=BEN, now=NOON)
    for sent, words in (
        ({"format": "toml", "of": "draft", "secrets": "masked"}, "N is null"),
        ({"format": "ini"}, "Choose a format"),
    ):
        answer = admin.get(EXPORT, sent, follow=True)
        assert answer.redirect_chain == [(AT, 302)]
        assert words in text(answer)


def test_a_layer_has_the_page_as_well(admin: Client, scope: Scope) -> None:
    a_scope("shop", "prod")
    for name in ("global", "environment/dev", "service/billing"):
        at = f"/layers/{name}/import/"
        seen = admin.post(at, {"act": "preview", "text": f"LEVEL={name}\n"})
        done = admin.post(at, {"act": "import", **hidden(seen)})
        assert done["Location"] == f"/layers/{name}/review/"
        exported = admin.get(
            f"/layers/{name}/export/", {"format": "env", "of": "draft", "secrets": "masked"}
        )
        assert exported.content == f"LEVEL='{name}'\n".encode()
        assert "/export/" in text(admin.get(at))


def test_strangers_see_nothing_of_it(client: Client, stranger: Client, scope: Scope) -> None:
    assert client.get(AT)["Location"].startswith("/sign-in/")
    before = rows()
    assert stranger.post(AT, {"act": "preview", "text": "A=1\n"}).status_code in (302, 403)
    assert rows() == before
