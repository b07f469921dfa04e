"""What comes is verified, kept, carried out once, and answered."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User

from confhub.access.models import Grant
from confhub.catalog import actions as catalog
from confhub.catalog import freezes
from confhub.catalog.models import Scope
from confhub.core.actors import Actor
from confhub.deploys import actions, carrying, payloads, queries, receiving
from confhub.deploys.models import Delivery, DeployHook
from confhub.deploys.receiving import BodyChanged, Came, NotVerified, TooLate
from confhub.deploys.senders import Sent
from confhub.publishing import hooks
from confhub.publishing.actions import publish_draft
from confhub.publishing.consulting import HookRefused
from confhub.publishing.hooks import Settings
from confhub.publishing.protection import Frozen, NeedsApproval
from confhub.releases import actions as releases
from confhub.releases.models import Release
from confhub.releases.queries import entries_of
from tests.deploys.conftest import DIGEST, Made, a_body, github, own, receive
from tests.parts import factories
from tests.parts.factories import ANN, BEN, NOON, later
from tests.parts.receiver import Receiver
from tests.publishing.test_publish_hooks import says

pytestmark = pytest.mark.django_db
Make = Callable[..., Made]


def rows() -> tuple[int, int]:
    """(releases, deliveries): what a refusal must not add to."""
    return Release.objects.count(), Delivery.objects.count()


def test_a_delivery_publishes_as_its_hook(make: Make, scope: Scope) -> None:
    made = make(mapping={**TAG_AND_IMAGE, "message": {"template": "deploy {/tag} by {/by}"}})
    body = a_body(tag="1.9", by="bot", digest=DIGEST)

    done = receive(made, own(made.secret, body), address="192.0.2.7", request_id="req-1")

    release = Release.objects.get(scope=scope, number=2)
    assert done.acted.outcome == "published"
    assert done.acted.release == release
    assert release.entries["TAG"] == {"value": "1.9"}
    assert release.entries["PORT"] == {"value": 80}
    assert (release.author, release.message) == ("hook:ship", "deploy 1.9 by bot")
    assert release.image == {"name": "ghcr.io/acme/shop:1.9", "digest": DIGEST}
    assert release.request_id == "req-1"
    row = Delivery.objects.get()
    assert (row.outcome, row.release, row.came_from, row.tries) == ("published", 2, "192.0.2.7", 1)
    assert queries.payload_of(row) == json.loads(body)


TAG_AND_IMAGE = {
    "set": {"TAG": {"pointer": "/tag"}},
    "image": {
        "name": {"template": "ghcr.io/acme/shop:{/tag}"},
        "digest": {"pointer": "/digest"},
    },
}


def test_the_payload_and_the_secret_are_nowhere_in_clear(make: Make) -> None:
    made = make()
    receive(made, own(made.secret, a_body(tag="1.9", note="canary-4711")))

    kept = json.dumps(
        [*Delivery.objects.values("payload", "detail"), *DeployHook.objects.values("secret")]
    )
    assert "canary-4711" not in kept
    assert made.secret not in kept


def test_what_is_drafted_stays_drafted(make: Make, scope: Scope) -> None:
    made = make()
    releases.change_draft(scope, set={"PORT": 81}, expected=None, who=ANN, now=NOON)

    receive(made, own(made.secret, a_body(tag="1.9")))

    assert entries_of(scope)["PORT"] == {"value": 80}


def test_the_same_again_is_answered_and_not_done(make: Make) -> None:
    made = make()
    sent = own(made.secret, a_body(tag="1.9"))
    first = receive(made, sent)
    before = rows()

    again = receive(made, sent, now=later(60))

    assert again.is_repeated
    assert again.acted.outcome == "published"
    assert again.acted.release == first.acted.release
    assert rows() == before


def test_a_job_that_tries_again_finds_nothing_to_change(make: Make) -> None:
    made = make()
    receive(made, own(made.secret, a_body(tag="1.9")))

    again = receive(made, own(made.secret, a_body(tag="1.9"), at=later(30)), now=later(30))

    assert again.acted.outcome == "unchanged"
    assert again.acted.release is not None
    assert again.acted.release.number == 2


@pytest.mark.parametrize("off_s", [-301, 301], ids=["old", "ahead"])
def test_another_time_is_refused(make: Make, off_s: int) -> None:
    made = make()
    before = rows()

    with pytest.raises(TooLate, match="5 minutes"):
        receive(made, own(made.secret, a_body(tag="1.9"), at=later(off_s)))

    assert rows() == before


def test_unknown_hooks_and_wrong_secrets_look_the_same(make: Make) -> None:
    made = make()
    sent = own("another secret of somebody", a_body(tag="1.9"))
    said = set()
    before = rows()

    for name in ("ship", "nothing", "a\x00b", "x" * 300):
        with pytest.raises(NotVerified) as refused:
            receiving.receive(name, Came(sent), now=NOON)
        said.add((refused.value.code, refused.value.status, refused.value.detail))

    assert len(said) == 1
    assert rows() == before
    assert made.secret not in str(said)


def test_an_unknown_hook_costs_the_same_work(make: Make, monkeypatch: Any) -> None:
    """One look at rows, one secret opened, one HMAC over the body."""
    make()
    done: list[str] = []
    keys, sender = receiving.Keys, receiving.SENDERS["confhub"]
    opened, proof = keys.open_text, type(sender).proof
    receiving._decoy()
    monkeypatch.setattr(keys, "open_text", lambda *a, **k: done.append("opened") or opened(*a, **k))
    monkeypatch.setattr(
        type(sender), "proof", lambda *a, **k: done.append("proved") or proof(*a, **k)
    )
    sent = own("another secret of somebody", a_body(tag="1.9"))
    for name in ("ship", "nothing"):
        with pytest.raises(NotVerified):
            receiving.receive(name, Came(sent), now=NOON)

    assert done == ["opened", "proved"] * 2


def test_a_changed_body_under_a_known_id_is_refused(make: Make) -> None:
    made = make("github")
    receive(made, github(made.secret, a_body(tag="1.9")))
    before = rows()

    with pytest.raises(BodyChanged, match="guid-1"):
        receive(made, github(made.secret, a_body(tag="2.0")))

    assert rows() == before


def test_the_same_body_under_another_id_is_a_repetition_where_the_id_is_not_signed(
    make: Make,
) -> None:
    made = make("github")
    receive(made, github(made.secret, a_body(tag="1.9")))
    before = rows()

    again = receive(made, github(made.secret, a_body(tag="1.9"), id="guid-of-a-thief"))

    assert again.is_repeated
    assert rows() == before


def test_a_delivery_on_which_the_server_died_is_carried_out_when_it_comes_again(
    make: Make, monkeypatch: pytest.MonkeyPatch, scope: Scope
) -> None:
    made = make("github")
    sent = github(made.secret, a_body(tag="1.9"))
    with monkeypatch.context() as patched:
        patched.setattr(carrying, "publish_changes", _dies)
        with pytest.raises(MemoryError):
            receive(made, sent)
    row = Delivery.objects.get()
    assert (row.outcome, row.release) == ("received", None)

    done = receive(made, sent)

    assert done.acted.outcome == "published"
    assert not done.is_repeated
    assert Delivery.objects.get().release == 2


def _dies(*_: object, **__: object) -> None:
    raise MemoryError


def test_a_missing_value_is_named_with_what_is_there(make: Make) -> None:
    made = make(mapping={"set": {"TAG": {"pointer": "/release/tag_name"}}})

    done = receive(made, own(made.secret, a_body(release={"name": "secret-value", "id": 7})))

    assert done.acted.outcome == "failed"
    assert done.error is not None
    assert done.error.fields == {
        "TAG": "/release/tag_name is not there: /release is an object with id, name."
    }
    assert Release.objects.count() == 1
    row = Delivery.objects.get()
    assert row.problem == {"code": "deploy_hook.does_not_map", "fields": done.error.fields}
    assert "secret-value" not in row.detail


def test_a_gate_refuses_and_its_refusal_is_answered_again(make: Make, scope: Scope) -> None:
    made = make()
    freezes.add_freeze(
        scope.environment, starts_at=NOON, ends_at=later(3600), reason="the holidays", who=ANN,
        now=NOON,
    )  # fmt: skip
    sent = own(made.secret, a_body(tag="1.9"))

    first, again = receive(made, sent), receive(made, sent, now=later(1))

    for done in (first, again):
        assert isinstance(done.error, Frozen)
        assert "the holidays" in done.error.detail
    assert again.is_repeated
    assert "retry it" in str(again.error)
    assert Release.objects.count() == 1
    assert Delivery.objects.get().outcome == "refused"


def test_approvals_hold_for_hooks(make: Make, scope: Scope) -> None:
    made = make()
    catalog.change_environment(scope.environment, approvals=1, who=ANN, now=NOON)

    done = receive(made, own(made.secret, a_body(tag="1.9")))

    assert isinstance(done.error, NeedsApproval)
    assert Release.objects.count() == 1


@pytest.mark.parametrize("how", ["grant", "account"])
def test_a_hook_ends_with_the_right_of_its_person(make: Make, mia: Actor, how: str) -> None:
    made = make()
    if how == "grant":
        Grant.objects.filter(user_id=mia.user_id).delete()
    else:
        User.objects.filter(pk=mia.user_id).update(is_active=False)

    done = receive(made, own(made.secret, a_body(tag="1.9")))

    assert done.acted.outcome == "refused"
    assert done.error is not None
    assert done.error.code == "not_allowed"
    assert "mia" in done.error.detail
    assert Release.objects.count() == 1


def test_a_hook_reaches_its_scope_alone(make: Make, scope: Scope) -> None:
    """Also where its person is admin of everything."""
    made = make()
    User.objects.filter(pk=made.hook.user_id).update(is_superuser=True)
    hook = DeployHook.objects.select_related().get()

    who = queries.actor_of(hook)

    assert who.name == "hook:ship"
    assert [(each.service, each.environment) for each in who.reach or ()] == [("shop", "dev")]
    assert {verb for each in who.reach or () for verb in each.verbs} == {"see", "edit", "publish"}


def test_one_that_is_off_publishes_nothing(make: Make, mia: Actor) -> None:
    made = make()
    actions.change_hook(made.hook, is_on=False, who=mia, now=NOON)

    done = receive(made, own(made.secret, a_body(tag="1.9")))

    assert done.error is not None
    assert done.error.code == "deploy_hook.off"
    assert Release.objects.count() == 1


def test_a_dry_run_tells_and_changes_nothing_and_is_used_up(make: Make, scope: Scope) -> None:
    made = make()
    sent = own(made.secret, a_body(tag="1.9"))

    dry = receive(made, sent, dry_run=True)

    assert dry.acted.outcome == "rehearsed"
    assert [(c.key, c.old, c.new) for c in dry.acted.changes] == [("TAG", "1.0", "1.9")]
    assert Release.objects.count() == 1
    real = receive(made, sent)
    assert real.error is not None
    assert real.error.code == "deploy_hook.rehearsed"
    assert Release.objects.count() == 1
    assert receive(made, sent, dry_run=True).acted.changes == dry.acted.changes


def test_a_dry_run_is_refused_as_the_real_one_would_be(make: Make, scope: Scope) -> None:
    made = make()
    freezes.add_freeze(
        scope.environment, starts_at=NOON, ends_at=later(3600), reason="the holidays", who=ANN,
        now=NOON,
    )  # fmt: skip

    done = receive(made, own(made.secret, a_body(tag="1.9")), dry_run=True)

    assert isinstance(done.error, Frozen)
    assert Delivery.objects.get().outcome == "rehearsed"


def test_a_retry_maps_anew_and_acts_as_whoever_asks(make: Make, mia: Actor, scope: Scope) -> None:
    made = make(mapping={"set": {"TAG": {"pointer": "/gat"}}})
    receive(made, own(made.secret, a_body(tag="1.9")))
    actions.change_hook(made.hook, mapping={"set": {"TAG": {"pointer": "/tag"}}}, who=mia, now=NOON)
    [row] = queries.deliveries_of(made.hook)
    row.hook = made.hook

    done = carrying.retry(row, who=BEN, now=later(5))

    assert done.acted.outcome == "published"
    assert Release.objects.get(number=2).author == "ben"
    row.refresh_from_db()
    assert (row.outcome, row.tries, row.release, row.problem) == ("published", 2, 2, None)


def test_a_retry_without_the_payload_is_refused(make: Make, mia: Actor) -> None:
    made = make()
    receive(made, own(made.secret, a_body(tag="1.9", much="x" * payloads.KEPT_BYTES)))
    [row] = queries.deliveries_of(made.hook)
    row.hook = made.hook
    assert row.outcome == "published"

    with pytest.raises(carrying.PayloadNotKept):
        carrying.retry(row, who=mia, now=NOON)

    row.refresh_from_db()
    assert row.tries == 1


def test_a_filter_skips_what_is_not_for_the_hook(make: Make) -> None:
    made = make("github", filters={"events": ["push"], "match": {"/ref": "refs/heads/*"}})

    tag = receive(made, github(made.secret, a_body(tag="1.9", ref="refs/tags/1.9")))
    star = receive(made, github(made.secret, a_body(tag="1"), event="star", id="guid-2"))
    main = receive(made, github(made.secret, a_body(tag="1.9", ref="refs/heads/main"), id="guid-3"))

    assert [each.acted.outcome for each in (tag, star, main)] == ["skipped", "skipped", "published"]
    assert "/ref" in tag.acted.detail
    assert "star" in star.acted.detail


def test_ping_is_answered(make: Make) -> None:
    made = make("github")

    done = receive(made, github(made.secret, a_body(zen="Keep it simple."), event="ping"))

    assert (done.acted.outcome, done.error) == ("skipped", None)
    assert Release.objects.count() == 1


BAD = {
    "no JSON": b"tag=1.9", "a list": b'["1.9"]', "a text": b'"1.9"', "empty": b"",
    "twins": b'{"tag": 1, "tag": 2}', "NaN": b'{"tag": NaN}', "infinite": b'{"tag": 1e999}',
    "half a character": b'{"tag": "\\ud800"}', "deep": b'{"a":' * 100 + b"1" + b"}" * 100,
    "very deep": b"[" * 100_000, "no UTF-8": b'{"tag": "\xff"}',
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_body_that_cannot_be_kept_is_refused(make: Make, name: str) -> None:
    made = make()
    before = rows()

    with pytest.raises(payloads.BadPayload):
        receive(made, own(made.secret, BAD[name]))

    assert rows() == before


def test_nul_and_strange_characters(make: Make, scope: Scope) -> None:
    made = make(mapping={"set": {"TAG": {"pointer": "/tag"}}, "message": {"pointer": "/why"}})

    done = receive(made, own(made.secret, a_body(tag="日本 🚀", why="nul\x00 here")))
    nul = receive(made, own(made.secret, a_body(tag="a\x00b", why="")))

    assert done.acted.outcome == "published"
    assert Release.objects.get(number=2).message == "nul here"
    assert entries_of(scope)["TAG"] == {"value": "日本 🚀"}
    assert nul.acted.outcome == "refused"
    assert nul.error is not None
    assert nul.error.code == "entries.bad"


def test_the_newest_hundred_are_whole_and_older_ones_still_tell_repetitions(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "SHOWN", 3)
    monkeypatch.setattr(queries, "SHOWN", 3)
    made = make("github", filters={"events": ["push"], "match": {"/never": "x"}})
    sent = [github(made.secret, a_body(n=n), id=f"guid-{n}") for n in range(5)]
    for each in sent:
        receive(made, each)

    kept = [row.payload is not None for row in Delivery.objects.order_by("pk")]
    assert kept == [False, False, True, True, True]
    assert len(queries.deliveries_of(made.hook)) == 3
    assert receive(made, sent[0]).is_repeated


def test_a_new_secret_refuses_the_old_one(make: Make, mia: Actor) -> None:
    made = make()
    fresh = actions.new_secret(made.hook, who=mia, now=NOON)

    with pytest.raises(NotVerified):
        receive(made, own(made.secret, a_body(tag="1.9")))

    assert Delivery.objects.count() == 0
    assert receive(made, own(fresh, a_body(tag="1.9"))).acted.outcome == "published"


def test_unset_is_done_once(make: Make, scope: Scope) -> None:
    made = make(mapping={"unset": ["PORT"]})

    first = receive(made, own(made.secret, a_body(n=1)))
    again = receive(made, own(made.secret, a_body(n=2)))

    assert [first.acted.outcome, again.acted.outcome] == ["published", "unchanged"]
    assert "PORT" not in entries_of(scope)


def test_a_secret_key_is_sealed_and_never_told(make: Make, scope: Scope) -> None:
    releases.change_draft(
        scope, set={"TAG": {"$secret": "old-canary"}}, expected=None, who=ANN, now=NOON
    )
    publish_draft(scope, message="", who=ANN, now=NOON)
    made = make()

    dry = receive(made, own(made.secret, a_body(tag="new-canary")), dry_run=True)
    real = receive(made, own(made.secret, a_body(tag="new-canary", n=2)))

    assert real.acted.outcome == "published"
    assert "canary" not in str([(c.old, c.new) for c in dry.acted.changes])
    assert "canary" not in json.dumps(Release.objects.get(number=3).entries)


def test_a_removed_service_takes_its_hooks(mia: Actor, db: None) -> None:
    fresh = factories.a_scope("gone", "dev")
    who = Actor("mia", mia.user_id, active=True, grants=ANN.grants)
    actions.make_hook(fresh, name="g", kind="github", mapping={"unset": ["A"]}, who=who, now=NOON)

    catalog.delete_service(fresh.service, who=ANN, now=NOON)

    assert not DeployHook.objects.exists()


def test_times_are_bounded_by_the_tolerance(make: Make) -> None:
    made = make()

    done = receive(made, own(made.secret, a_body(tag="1.9")), now=NOON + timedelta(seconds=299))

    assert done.acted.outcome == "published"


def test_headers_of_other_forms_prove_nothing(make: Make) -> None:
    made = make()
    before = rows()
    good = own(made.secret, a_body(tag="1.9")).headers["x-confhub-signature"]
    stamp, _, digest = good.partition(",")
    for header in (
        "", digest, stamp, f"{stamp},{digest.upper()}", f"{stamp},v0={digest[3:]}", f"{stamp},{stamp},{digest}",
        f"t=+{stamp[2:]},{digest}", f"{stamp}.0,{digest}", f"{stamp},{digest[:-1]}", "t=é,v1=é",
    ):  # fmt: skip
        with pytest.raises(NotVerified):
            receive(made, Sent(a_body(tag="1.9"), {"x-confhub-signature": header}, {}))

    assert rows() == before


@pytest.mark.parametrize("decision", ["agree", "refuse"])
def test_publish_hooks_are_asked_about_what_a_deploy_hook_brings(
    make: Make, scope: Scope, settings: Any, decision: str
) -> None:
    settings.CONFHUB_OUTGOING_ALLOW = ["127.0.0.1"]
    made = make()
    sent = own(made.secret, a_body(tag="1.9"))
    with Receiver(says(decision=decision, reason="Not on Fridays.")) as endpoint:
        hooks.make_hook(
            "policy", when="before", service=None, environment=None,
            settings=Settings(endpoint.url), who=ANN, now=NOON,
        )  # fmt: skip
        done, again = receive(made, sent), receive(made, sent)

    row = Delivery.objects.get()
    assert again.is_repeated
    if decision == "agree":
        assert (row.outcome, row.release) == ("published", 2)
        return
    assert row.outcome == "refused"
    for each in (done, again):
        assert isinstance(each.error, HookRefused)
        assert "Not on Fridays." in each.error.detail
    assert Release.objects.count() == 1
