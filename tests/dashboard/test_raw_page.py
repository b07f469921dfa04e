"""The draft as a text, without a script: every step is a page."""

import re
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from confhub.access import grants
from confhub.catalog.models import Scope
from confhub.releases import actions
from confhub.releases.models import DraftText
from confhub.releases.queries import draft_of
from tests.parts import factories
from tests.parts.factories import BEN, NOON

URL = "/services/billing/dev/config/raw/"


def fields(page: str) -> dict[str, str]:
    """What the form would send, had nobody typed anything."""
    form = page[page.index('name="opened"') :]
    areas = re.findall(r'<textarea[^>]*name="(\w+)"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
    hidden = re.findall(
        r'<input type="hidden" name="(version|draft|give_up)" value="([^"]*)"', form
    )
    return {name: unescape(text) for name, text in [*areas, *hidden]}


def opened(admin: Client, format: str = "yaml") -> dict[str, str]:
    answer = admin.get(f"{URL}?format={format}")
    assert answer.status_code == 200
    return fields(answer.content.decode())


def sent(admin: Client, held: dict[str, str], format: str = "yaml", **more: str) -> Any:
    """As a browser does: every line break as CR LF."""
    body = {name: text.replace("\n", "\r\n") for name, text in {**held, **more}.items()}
    return admin.post(f"{URL}?format={format}", body)


@pytest.mark.parametrize(
    ("format", "text"),
    [("yaml", "POOL: 20\nnginx.conf: |\n"), ("json", '"POOL": 20'), ("env", "POOL=20\n"), ("toml", "POOL = 20\n"), ("properties", "POOL=20\n"), ("nonsense", "POOL: 20\n")],
)  # fmt: skip
def test_the_page_shows_the_draft_in_a_format(
    admin: Client, scope: Scope, format: str, text: str
) -> None:
    assert text in opened(admin, format)["text"]


def test_form_and_raw_link_to_each_other(admin: Client, scope: Scope) -> None:
    assert f'href="{URL}"' in admin.get("/services/billing/dev/config/").content.decode()
    assert 'href="/services/billing/dev/config/"' in admin.get(URL).content.decode()


def test_saving_changes_the_draft_and_keeps_comments(admin: Client, scope: Scope) -> None:
    held = opened(admin)
    answer = sent(admin, held, text="# more\n" + held["text"].replace("20", "30"))
    assert answer.status_code == 302
    assert answer["Location"] == f"{URL}?format=yaml"
    assert draft_of(scope).set == {"POOL": 30}
    assert opened(admin)["text"].startswith("# more\nPOOL: 30\n")
    assert "\r" not in DraftText.objects.get().text


def test_a_text_with_a_leading_empty_line_comes_back_with_it(admin: Client, scope: Scope) -> None:
    held = opened(admin)
    sent(admin, held, text=f"\n{held['text']}")
    assert opened(admin)["text"] == f"\n{held['text']}"


def test_what_does_not_read_is_kept_and_shown_with_its_line(admin: Client, scope: Scope) -> None:
    held = opened(admin)
    answer = sent(admin, held, text="POOL: 30\nX: [1,\n")
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "Line 3:" in page
    assert "The text is kept" in page
    assert "  2 | X: [1," in page
    assert draft_of(scope).set == {}
    assert fields(page)["opened"] == held["opened"]
    again = sent(admin, fields(page), text="POOL: 30\nX: [1]\n")
    assert again.status_code == 302
    assert draft_of(scope).set == {"POOL": 30, "X": [1]}
    assert draft_of(scope).unset == ["nginx.conf"]


def test_a_conflict_shows_theirs_and_is_decided_either_way(admin: Client, scope: Scope) -> None:
    held = opened(admin)
    actions.change_draft(scope, set={"POOL": 77}, expected=None, who=BEN, now=NOON)
    answer = sent(admin, held, text=held["text"].replace("20", "30"))
    page = answer.content.decode()
    assert answer.status_code == 412
    assert "by ben" in page
    assert "77" in page
    assert draft_of(scope).set == {"POOL": 77}
    assert "POOL: 30" in fields(page)["text"]

    theirs = sent(admin, fields(page), act="theirs")
    assert theirs.status_code == 302
    assert draft_of(scope).set == {"POOL": 77}

    mine = sent(admin, fields(page), act="save", version=opened(admin)["version"])
    assert mine.status_code == 302
    assert draft_of(scope).set == {"POOL": 30}


def test_comments_changed_on_both_sides_show_their_text(admin: Client, scope: Scope) -> None:
    held = opened(admin)
    sent(admin, held, text=f"# one\n{held['text']}")
    answer = sent(admin, held, text=f"# two\n{held['text']}")
    page = answer.content.decode()
    assert answer.status_code == 412
    assert "# one" in page
    assert fields(page)["text"].startswith("# two")
    assert sent(admin, fields(page)).status_code == 302
    assert opened(admin)["text"].startswith("# two\n")


def test_what_toml_lacks_is_said_and_other_formats_go_on(admin: Client, scope: Scope) -> None:
    actions.change_draft(scope, set={"NOTHING": None}, expected=None, who=BEN, now=NOON)
    page = admin.get(f"{URL}?format=toml").content.decode()
    assert "NOTHING is null, which has no form in TOML. Choose another format." in page
    assert "NOTHING: null" in opened(admin)["text"]


def test_a_text_is_written_anew_without_its_comments(admin: Client, scope: Scope) -> None:
    held = opened(admin)
    sent(admin, held, text=f"# one\n{held['text']}")
    assert sent(admin, opened(admin), act="drop").status_code == 302
    assert opened(admin)["text"] == held["text"]


def test_who_may_only_see_reads_and_changes_nothing(scope: Scope) -> None:
    person = factories.a_person("vic")
    User.objects.filter(pk=person.pk).update(is_superuser=False)
    grants.grant(person, "viewer", who=factories.ANN, now=NOON)
    viewer = Client()
    viewer.force_login(person)
    page = viewer.get(URL).content.decode()
    assert "You may read here" in page
    assert "Save to the draft" not in page
    answer = viewer.post(URL, {"text": "A: 1", "opened": "", "version": 0, "draft": 0})
    assert answer.status_code == 403
    assert not DraftText.objects.exists()
    assert draft_of(scope).changes == []


def test_nobody_reads_it_without_signing_in(client: Client, scope: Scope) -> None:
    assert client.get(URL).status_code == 302


def test_a_layer_is_edited_as_text_as_well(admin: Client, scope: Scope) -> None:
    for url in ("/layers/global/raw/", "/layers/environment/dev/raw/"):
        page = admin.get(url)
        assert page.status_code == 200
        held = fields(page.content.decode())
        assert admin.post(url, {**held, "text": "ZONE: eu # here\n"}).status_code == 302
        assert fields(admin.get(url).content.decode())["text"] == "ZONE: eu # here\n"


def test_the_page_needs_the_same_few_queries_for_many_keys(
    admin: Client, scope: Scope, django_assert_max_num_queries: Any
) -> None:
    many = {f"KEY_{number}": number for number in range(300)}
    actions.change_draft(scope, set=many, expected=None, who=BEN, now=NOON)
    admin.get(URL)
    with django_assert_max_num_queries(25):
        assert admin.get(URL).status_code == 200
