"""Every page: who may see it, what it answers, and what it costs."""

import json
import re

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from confhub.catalog.models import Scope, Service
from confhub.core import clock
from confhub.fleet.models import Instance
from confhub.publishing.models import Publication
from confhub.releases.models import Release
from confhub.releases.queries import draft_of
from tests.parts import factories

PAGES = [
    "/services/", "/environments/", "/services/billing/", "/services/billing/dev/",
    "/services/billing/dev/config/", "/services/billing/dev/config/key/?key=POOL",
    "/services/billing/dev/config/key/?key=NEW", "/services/billing/dev/review/",
    "/services/billing/dev/releases/", "/services/billing/dev/releases/2/",
    "/services/billing/dev/releases/1/?against=live", "/services/billing/dev/releases/1/rollback/",
    "/services/billing/dev/instances/web-1/",
]  # fmt: skip
PARTS = [
    "/parts/services/", "/parts/services/billing/", "/parts/services/billing/dev/head/",
    "/parts/services/billing/dev/grid/", "/parts/services/billing/dev/config/",
    "/parts/services/billing/dev/releases/", "/parts/services/billing/dev/releases/1/",
    "/parts/services/billing/dev/instances/web-1/",
]  # fmt: skip
QUERY_LIMIT = 20


def an_instance(scope: Scope, instance_id: str = "web-1", *, release: int = 2) -> Instance:
    now = clock.stamp(clock.now())
    receipt = {
        "release": release, "state": "confirmed", "stage": "", "reason": "", "at": now,
        "delivered_at": now, "applied_at": now, "confirmed_at": now,
    }  # fmt: skip
    return Instance.objects.create(
        scope=scope, instance_id=instance_id, host="node-1", runtime="docker", pid=4711,
        container={"name": instance_id, "image": "web:1", "started_at": now, "restarts": 0},
        target=release, running=release, health="healthy", receipt=receipt, revision=7,
        seen_at=clock.now(),
    )  # fmt: skip


@pytest.mark.parametrize("address", [*PAGES, *PARTS])
def test_a_page_answers_within_its_queries(
    address: str, admin: Client, scope: Scope,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:  # fmt: skip
    an_instance(scope)
    factories.releases.change_draft(
        scope, set={"POOL": 30}, expected=None, who=factories.ANN, now=factories.NOON
    )

    with django_assert_max_num_queries(QUERY_LIMIT):
        answer = admin.get(address)

    assert answer.status_code == 200
    assert answer["Cache-Control"] == "private, no-store"


def test_the_list_of_services_costs_the_same_however_long_it_is(
    admin: Client, scope: Scope, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(30):
        factories.a_release(factories.a_scope(f"service-{number}", "dev"), {"A": number})

    with django_assert_max_num_queries(QUERY_LIMIT):
        answer = admin.get("/services/")

    assert answer.content.count(b'<th scope="row">') == 31


@pytest.mark.parametrize("address", PAGES)
def test_a_page_asks_who_is_there_first(address: str, client: Client, scope: Scope) -> None:
    answer = client.get(address)

    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in/?next=")


@pytest.mark.parametrize("address", PARTS)
def test_a_part_is_refused_plainly_without_a_session(
    address: str, client: Client, scope: Scope
) -> None:
    assert client.get(address, headers={"X-Part": "1"}).status_code == 401


@pytest.mark.parametrize("address", PAGES)
def test_somebody_switched_off_sees_nothing(address: str, stranger: Client, scope: Scope) -> None:
    answer = stranger.get(address)

    assert answer.status_code in (302, 403)
    assert b"billing" not in answer.content


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("/services/nothing/", "no service"),
        ("/services/billing/moon/", "no environment"),
        ("/services/billing/dev/releases/99/", "no release 99"),
        ("/services/billing/dev/releases/99999999999999999999/", "no release"),
        ("/services/billing/dev/instances/gone/", "no instance"),
        ("/no/such/page/", "no page at this address"),
    ],
)
def test_what_is_not_there_is_named(address: str, says: str, admin: Client, scope: Scope) -> None:
    answer = admin.get(address)

    assert answer.status_code == 404
    assert says in answer.content.decode()


def test_a_service_is_made_and_a_bad_name_is_refused_at_its_field(admin: Client) -> None:
    refused = admin.post("/services/", {"slug": "Check Out", "description": ""})
    made = admin.post("/services/", {"slug": "checkout", "description": "Takes the money"})
    twice = admin.post("/services/", {"slug": "checkout", "description": ""})

    assert refused.status_code == 422
    assert "small letters" in refused.content.decode()
    assert made["Location"] == "/services/checkout/"
    assert twice.status_code == 422
    assert "taken" in twice.content.decode()
    assert Service.objects.count() == 1


def test_an_environment_is_made(admin: Client) -> None:
    answer = admin.post("/environments/", {"slug": "prod", "order": "2", "protected": "on"})

    assert answer["Location"] == "/environments/"
    assert "asks for its name" in admin.get("/environments/").content.decode()


def test_the_theme_is_drawn_by_the_server_and_leads_nowhere_else(client: Client) -> None:
    answer = client.post("/theme/", {"theme": "dark", "next": "https://evil.example/"})

    assert answer["Location"] == "/"
    assert b'data-theme="dark"' in client.get("/sign-in/").content


def test_values_of_other_people_are_text_and_never_markup(admin: Client, scope: Scope) -> None:
    evil = '</script><script>alert(1)</script><img src=x onerror="alert(1)">'
    factories.a_release(scope, {"EVIL": evil}, message=evil)
    an_instance(scope, evil[:100].replace("/", "|"))

    for address in (*PAGES[:6], *PAGES[7:12]):
        text = admin.get(address).content.decode()
        assert "<script>alert" not in text, address
        assert "<img src=x" not in text, address


def test_the_script_gets_numbers_as_text_so_that_none_is_rounded(
    admin: Client, scope: Scope
) -> None:
    factories.a_release(scope, {"ID": 12345678901234567890, "RATIO": 1.0})

    model = json.loads(admin.get("/parts/services/billing/dev/config/").content)

    assert model["entries"]["ID"] == {"raw": "12345678901234567890"}
    assert model["entries"]["RATIO"] == {"raw": "1.0"}


def test_a_csrf_failure_says_what_to_do(scope: Scope) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(factories.a_person())

    answer = client.post("/services/", {"slug": "x"})

    assert answer.status_code == 403
    assert "Nothing was changed" in answer.content.decode()


def test_the_page_of_a_fault_names_the_request(client: Client, rf: object) -> None:
    from django.test import RequestFactory

    from dashboard.pages.errors import server_error

    request = RequestFactory().get("/")
    request.request_id = "req-17"  # type: ignore[attr-defined]  # as the middleware does

    answer = server_error(request)

    assert answer.status_code == 500
    assert "req-17" in answer.content.decode()


def test_a_page_is_live_from_before_its_rows_were_read(admin: Client, scope: Scope) -> None:
    from confhub.events.actions import number_new_events
    from confhub.events.queries import newest_position

    number_new_events()
    text = admin.get(reverse("live", args=["billing", "dev"])).content.decode()

    assert f'data-position="{newest_position()}"' in text
    assert re.search(rf'data-streams="{scope.stream}"', text)


def counts() -> tuple[int, int]:
    return Release.objects.count(), Publication.objects.count()


def test_a_draft_is_reviewed_and_published(admin: Client, scope: Scope) -> None:
    factories.releases.change_draft(
        scope, set={"POOL": 30}, expected=None, who=factories.ANN, now=factories.NOON
    )
    draft = draft_of(scope)

    answer = admin.post(
        "/services/billing/dev/review/",
        {"message": "peak", "release": draft.head, "version": draft.version},
    )

    assert answer["Location"] == "/services/billing/dev/"
    newest = Release.objects.latest("number")
    assert (newest.number, newest.message, newest.author) == (3, "peak", "admin")


@pytest.mark.parametrize(
    ("sent", "status", "says"),
    [
        ({"message": ""}, 422, "Say in a few words why"),
        ({"release": "1"}, 409, "is at r2"),
        ({"version": "1"}, 412, "Review it again"),
        ({"version": "many"}, 422, ""),
    ],
)
def test_what_cannot_be_published_says_why_and_changes_nothing(
    sent: dict[str, str], status: int, says: str, admin: Client, scope: Scope
) -> None:
    factories.releases.change_draft(
        scope, set={"POOL": 30}, expected=None, who=factories.ANN, now=factories.NOON
    )
    draft, before = draft_of(scope), counts()

    answer = admin.post(
        "/services/billing/dev/review/",
        {"message": "peak", "release": draft.head, "version": draft.version, **sent},
    )

    assert answer.status_code == status
    assert says in answer.content.decode()
    assert counts() == before


def test_after_a_refusal_the_page_asks_to_publish_what_it_shows_now(
    admin: Client, scope: Scope
) -> None:
    factories.releases.change_draft(
        scope, set={"POOL": 30}, expected=None, who=factories.ANN, now=factories.NOON
    )
    seen = draft_of(scope).version
    factories.releases.change_draft(
        scope, set={"POOL": 31}, expected=None, who=factories.BEN, now=factories.NOON
    )

    answer = admin.post(
        "/services/billing/dev/review/", {"message": "peak", "release": 2, "version": seen}
    )

    assert answer.status_code == 412
    assert f'name="version" value="{draft_of(scope).version}"' in answer.content.decode()
    assert "31" in answer.content.decode()


@pytest.mark.parametrize(
    ("typed", "status"), [("", 422), ("Prod", 422), ("dev", 422), ("prod", 302)]
)
def test_a_protected_environment_wants_its_name(
    typed: str, status: int, admin: Client, protected: Scope
) -> None:
    factories.releases.change_draft(
        protected, set={"POOL": 30}, expected=None, who=factories.ANN, now=factories.NOON
    )
    draft, before = draft_of(protected), counts()

    answer = admin.post(
        "/services/billing/prod/review/",
        {"message": "peak", "release": draft.head, "version": draft.version, "confirm": typed},
    )

    assert answer.status_code == status
    assert (counts() == before) is (status == 422)


def test_keys_that_somebody_else_published_are_decided_one_by_one(
    admin: Client, scope: Scope
) -> None:
    factories.releases.change_draft(
        scope,
        set={"POOL": 30, "nginx.conf": "mine"},
        expected=None,
        who=factories.ANN,
        now=factories.NOON,
    )
    factories.publishing.publish_changes(
        scope,
        set={"POOL": 99, "nginx.conf": "theirs"},
        unset=(),
        message="hook",
        who=factories.BEN,
        now=factories.NOON,
    )
    page = admin.get("/services/billing/dev/review/").content.decode()
    assert "r3 changed the same keys" in page

    undecided = admin.post(
        "/services/billing/dev/review/rebase/", {"release": "3", "keep.POOL": "mine"}
    )
    assert draft_of(scope).overlapping == ["POOL", "nginx.conf"]
    decided = admin.post(
        "/services/billing/dev/review/rebase/",
        {"release": "3", "keep.POOL": "mine", "keep.nginx.conf": "theirs"},
    )

    assert undecided["Location"] == decided["Location"] == "/services/billing/dev/review/"
    draft = draft_of(scope)
    assert (draft.base, draft.set, draft.overlapping) == (3, {"POOL": 30}, [])


def test_a_rollback_shows_what_it_changes_and_publishes_the_old_content(
    admin: Client, scope: Scope
) -> None:
    page = admin.get("/services/billing/dev/releases/1/rollback/").content.decode()
    assert "<del>20</del>" in page
    assert "<ins>10</ins>" in page

    answer = admin.post(
        "/services/billing/dev/releases/1/rollback/", {"message": "", "release": "2"}
    )

    assert answer["Location"] == "/services/billing/dev/"
    newest = Release.objects.latest("number")
    assert (newest.number, newest.restores, newest.entries["POOL"]) == (3, 1, {"value": 10})


def test_a_rollback_from_an_old_page_changes_nothing(admin: Client, scope: Scope) -> None:
    before = counts()

    answer = admin.post("/services/billing/dev/releases/1/rollback/", {"release": "1"})

    assert answer.status_code == 409
    assert counts() == before


def test_a_draft_is_discarded_unless_it_changed_since(admin: Client, scope: Scope) -> None:
    factories.releases.change_draft(
        scope, set={"POOL": 30}, expected=None, who=factories.ANN, now=factories.NOON
    )
    seen = draft_of(scope).version
    factories.releases.change_draft(
        scope, set={"POOL": 31}, expected=None, who=factories.BEN, now=factories.NOON
    )

    admin.post("/services/billing/dev/review/discard/", {"version": seen})
    assert draft_of(scope).set == {"POOL": 31}
    admin.post("/services/billing/dev/review/discard/", {"version": draft_of(scope).version})

    assert draft_of(scope).changes == []
