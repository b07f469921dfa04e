"""A service's schema on its pages: the table, the text, one key's form, versions, what breaks."""

import json
from typing import Any

import pytest
from django.test import Client

from confhub.catalog import schema_versions
from confhub.catalog.models import SchemaVersion, Scope
from confhub.releases import schemas
from tests.parts.factories import ANN, NOON, a_release, a_scope

AT = "/services/billing/schema/"


def schema(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


def save(scope: Scope, document: dict[str, Any]) -> None:
    schemas.save_schema(
        scope.service, document, message="why", expected_number=None, who=ANN, now=NOON
    )


def post(client: Client, document: Any, *, at: str = AT, number: int = 0, **more: Any) -> Any:
    text = document if isinstance(document, str) else json.dumps(document)
    return client.post(at, {"document": text, "number": number, "message": "m", **more})


def test_a_service_without_a_schema_says_so(admin: Client, scope: Scope) -> None:
    page = admin.get(AT).content.decode()
    assert "no schema yet" in page
    assert "Infer from present values" in page
    assert 'href="/services/billing/schema/"' in admin.get("/services/billing/").content.decode()


def test_the_table_shows_what_the_schema_says_of_each_key(admin: Client, scope: Scope) -> None:
    rule = {
        "type": ["integer", "null"], "minimum": 1, "maximum": 99, "default": 10,
        "description": "Connections <of> the pool.", "reload": "restart",
        "environments": {"prod": {"minimum": 5}},
    }  # fmt: skip
    a_scope("billing", "prod")
    old = {"type": "string", "deprecated": "Use POOL.", "secret": True, "pattern": "^x"}
    save(scope, schema("POOL", POOL=rule, OLD=old))
    page = admin.get(AT).content.decode()
    for text in ["a whole number or null", "from 1", "up to 99", "Connections &lt;of&gt; the pool.",
                 "needs a restart", "deprecated", "Use POOL.", "secret", "^x", ">10<"]:  # fmt: skip
        assert text in page, text
    assert "from 5" in admin.get(f"{AT}?environment=prod").content.decode()
    found = admin.get(f"{AT}?q=pool").content.decode()
    assert "key=POOL" in found
    assert "key=OLD" not in found


def test_saving_makes_a_version(admin: Client, scope: Scope) -> None:
    answer = post(admin, schema("POOL", POOL={"type": "integer"}))
    assert (answer.status_code, answer["Location"]) == (302, AT)
    assert "Version 1 of the schema is saved." in admin.get(AT).content.decode()
    version = SchemaVersion.objects.get()
    assert (version.author, version.message) == ("admin", "m")
    post(admin, schema("POOL", POOL={"type": "integer"}), number=1)
    assert SchemaVersion.objects.count() == 1


@pytest.mark.parametrize(
    ("document", "status", "sentence"),
    [
        ("{", 422, "This is not JSON"),
        ("", 422, "This field is required."),
        ("[" * 5000, 422, "nests too deeply"),
        ({"type": "array"}, 422, "<code>type</code>"),
        (schema(POOL={"minimum": "x"}), 422, "<code>properties.POOL.minimum</code>"),
        (schema(POOL={"$ref": "https://example.org"}), 422, "nothing is fetched from elsewhere"),
        (schema(POOL={"maximum": 5}), 409, "POOL is 20; at most 5 is asked for."),
    ],
)
def test_what_cannot_be_saved_is_said_and_stays_in_the_form(
    admin: Client, scope: Scope, document: Any, status: int, sentence: str
) -> None:
    answer = post(admin, document)
    page = answer.content.decode()
    assert (answer.status_code, SchemaVersion.objects.count()) == (status, 0)
    assert sentence in page
    assert "<textarea" in page


def test_what_breaks_is_listed_by_environment_with_a_way_to_the_key(
    admin: Client, scope: Scope
) -> None:
    prod = a_scope("billing", "prod")
    a_release(prod, {"POOL": 7})
    page = post(admin, schema("HOST", POOL={"maximum": 10})).content.decode()
    assert "dev, newest release" in page
    assert "prod, newest release" in page
    assert 'href="/services/billing/dev/config/key/?key=POOL"' in page
    assert "HOST is missing; it is required." in page
    assert SchemaVersion.objects.count() == 0


def test_checking_saves_nothing(admin: Client, scope: Scope) -> None:
    fits = post(admin, schema(POOL={"type": "integer"}), act="check")
    assert "Every value that stands there now fits" in fits.content.decode()
    breaks = post(admin, schema(POOL={"maximum": 5}), act="check")
    assert "POOL is 20; at most 5 is asked for." in breaks.content.decode()
    assert SchemaVersion.objects.count() == 0


def test_a_proposal_can_be_saved_as_it_is(admin: Client, scope: Scope) -> None:
    page = admin.post(AT, {"act": "infer"})
    proposed = page.context["form"]["document"].value()
    assert "Nothing is saved yet" in page.content.decode()
    assert json.loads(proposed)["properties"]["POOL"] == {"type": "integer"}
    assert SchemaVersion.objects.count() == 0
    assert post(admin, proposed).status_code == 302
    again = admin.post(AT, {"act": "infer"}).content.decode()
    assert "0 added" not in again  # no difference, so none is drawn


def test_an_older_page_does_not_overwrite(admin: Client, scope: Scope) -> None:
    save(scope, schema())
    answer = post(admin, schema(POOL={}), number=0)
    assert answer.status_code == 409
    assert "at version 1, and you saw version 0" in answer.content.decode()
    assert SchemaVersion.objects.count() == 1


def test_versions_are_listed_with_their_difference(admin: Client, scope: Scope) -> None:
    save(scope, schema(POOL={"type": "integer"}))
    save(scope, schema(POOL={"type": "number"}, HOST={"type": "string"}))
    assert f'href="{AT}versions/2/"' in admin.get(AT).content.decode()
    page = admin.get(f"{AT}versions/2/").content.decode()
    assert "Against version 1" in page
    assert 'data-key="HOST"' in page
    assert 'data-key="POOL"' in page
    assert "The first version" in admin.get(f"{AT}versions/1/").content.decode()
    assert admin.get(f"{AT}versions/3/").status_code == 404


def rule(**more: Any) -> dict[str, Any]:
    return {"key": "POOL", "type": "integer", "number": 0, "act": "save", **more}


def test_one_key_s_form_makes_the_next_version(admin: Client, scope: Scope) -> None:
    at = f"{AT}key/"
    answer = admin.post(
        at,
        rule(required="on", minimum="0", maximum="99", default="10", enum="[10, 20]",
             description="Connections.", reload="restart", deprecated="on", instead="Use SIZE."),
    )  # fmt: skip
    assert answer.status_code == 302
    assert schema_versions.document_of(scope.service) == schema(
        "POOL",
        POOL={
            "type": "integer", "minimum": 0, "maximum": 99, "default": 10, "enum": [10, 20],
            "description": "Connections.", "reload": "restart", "deprecated": "Use SIZE.",
        },
    )  # fmt: skip
    page = admin.get(f"{at}?key=POOL")
    assert page.context["form"]["minimum"].value() == 0
    assert page.context["form"]["enum"].value() == "[10, 20]"

    admin.post(at, rule(number=1, nullable="on"))
    assert schema_versions.document_of(scope.service) == schema(POOL={"type": ["integer", "null"]})
    admin.post(at, rule(number=2, act="remove"))
    assert schema_versions.document_of(scope.service) == schema()


def test_a_key_s_form_keeps_what_it_does_not_show(admin: Client, scope: Scope) -> None:
    kept = {
        "format": "uri",
        "environments": {"prod": {"minLength": 3}},
        "type": ["string", "array"],
    }
    save(scope, schema(HOST=kept))
    form = admin.get(f"{AT}key/?key=HOST").context["form"]
    assert form["type"].value() == "several"
    answer = admin.post(
        f"{AT}key/", {"key": "HOST", "type": "several", "number": 1, "description": "Where."}
    )
    assert answer.status_code == 302
    document = schema_versions.document_of(scope.service)
    assert document == schema(HOST=kept | {"description": "Where."})


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"key": "2 X"}, 422, "is not a key"),
        ({"minimum": "many"}, 422, "is not a number"),
        ({"default": "ten"}, 422, "A text stands in double quotes."),
        ({"enum": "10"}, 422, "Write a list"),
        ({"default": '"ten"'}, 422, "As a default,"),
        ({"maximum": "5"}, 409, "POOL is 20; at most 5 is asked for."),
        ({"number": "7"}, 409, "you saw version 7"),
        ({"pattern": "("}, 422, "properties.POOL.pattern"),
    ],
)
def test_a_key_s_form_says_what_cannot_be(
    admin: Client, scope: Scope, fields: dict[str, str], status: int, sentence: str
) -> None:
    answer = admin.post(f"{AT}key/", rule(**fields))
    assert (answer.status_code, SchemaVersion.objects.count()) == (status, 0)
    assert sentence in answer.content.decode()


def test_nobody_else_sees_or_saves_it(client: Client, stranger: Client, scope: Scope) -> None:
    assert client.get(AT).status_code == 302  # to the sign-in
    assert post(stranger, schema()).status_code in (302, 403)
    assert SchemaVersion.objects.count() == 0


def test_the_pages_take_few_queries_whatever_the_number_of_keys(
    admin: Client, scope: Scope, django_assert_max_num_queries: Any
) -> None:
    save(scope, schema(**{f"KEY_{at}": {"type": "integer"} for at in range(400)}))
    with django_assert_max_num_queries(12):
        page = admin.get(AT).content.decode()
    assert "200 more." in page


def test_the_editor_says_what_the_schema_says(admin: Client, scope: Scope) -> None:
    rule = {"type": "integer", "description": "Connections of the pool", "reload": "restart"}
    size = {"type": "integer", "default": 3, "enum": [3, 5]}
    conf = {"type": "string", "deprecated": "Use a template."}
    save(scope, schema(POOL=rule, SIZE=size, **{"nginx.conf": conf}))
    hint = "Connections of the pool. A whole number. Needs a restart."

    page = admin.get("/services/billing/dev/config/")
    text = page.content.decode()
    assert f'<p class="key-hint hint break" data-field="hint">{hint}</p>' in text
    assert page.context["model"]["hints"]["POOL"] == hint
    assert "Deprecated. Use a template. Text." in text
    assert "1 key of the schema is not set here" in text
    assert 'href="/services/billing/dev/config/key/?key=SIZE"' in text
    assert admin.get("/parts/services/billing/dev/config/").json()["hints"]["POOL"] == hint

    known = admin.get("/services/billing/dev/config/key/?key=SIZE").content.decode()
    assert "What the schema says" in known
    assert "the program takes <code>3</code>" in known
    assert (
        "needs a restart"
        in admin.get("/services/billing/dev/config/key/?key=POOL").content.decode()
    )


def test_a_required_key_that_is_missing_stands_out(admin: Client, scope: Scope) -> None:
    draft = a_scope("billing", "prod")  # with nothing in it yet, so that nothing breaks
    save(scope, schema("POOL", POOL={"type": "integer"}))
    page = admin.get(f"/services/billing/{draft.environment.slug}/config/").content.decode()
    assert "required, missing" in page


def test_without_a_schema_the_editor_has_no_hints(admin: Client, scope: Scope) -> None:
    page = admin.get("/services/billing/dev/config/")
    assert page.context["model"]["hints"] == {}
    assert "of the schema" not in page.content.decode()
    key = admin.get("/services/billing/dev/config/key/?key=POOL").content.decode()
    assert "What the schema says" not in key
