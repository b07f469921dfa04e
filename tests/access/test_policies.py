"""Which role gives what where, as one table; and what a refusal says."""

import pytest

from confhub.access import policies
from confhub.access.policies import (
    NotAllowed,
    NotFound,
    Verb,
    may,
    may_at,
    may_see_slug,
    require,
    sees_everything,
)
from confhub.catalog.models import Environment, Layer, Scope, Service
from confhub.core.actors import EVERYTHING, ROLES, Actor, Granted, Reach

BILLING, SHOP = Service(slug="billing"), Service(slug="shop")
DEV, PROD = Environment(slug="dev"), Environment(slug="prod")
KIND = Layer.Kind
TARGETS = {
    "billing@prod": Scope(service=BILLING, environment=PROD),
    "billing@dev": Scope(service=BILLING, environment=DEV),
    "shop@prod": Scope(service=SHOP, environment=PROD),
    "shop@dev": Scope(service=SHOP, environment=DEV),
    "billing": BILLING,
    "shop": SHOP,
    "dev": DEV,
    "prod": PROD,
    "global": Layer(kind=KIND.GLOBAL, slug=""),
    "layer of prod": Layer(kind=KIND.ENVIRONMENT, slug="prod"),
    "layer of billing": Layer(kind=KIND.SERVICE, slug="billing"),
    "set": Layer(kind=KIND.SET, slug="tls"),
}
# Where a grant of a place lets one see, and where it lets one do more.
SEES = {
    (None, None): set(TARGETS),
    ("billing", None): {
        "billing@prod", "billing@dev", "billing", "dev", "prod", "layer of billing", "set"
    },
    (None, "prod"): {
        "billing@prod", "shop@prod", "billing", "shop", "prod", "layer of prod", "set"
    },
    ("billing", "prod"): {"billing@prod", "billing", "prod", "set"},
}  # fmt: skip
ACTS = {
    (None, None): set(TARGETS),
    ("billing", None): {"billing@prod", "billing@dev", "billing", "layer of billing"},
    (None, "prod"): {"billing@prod", "shop@prod", "prod", "layer of prod"},
    ("billing", "prod"): {"billing@prod"},
}
VERBS_OF = {
    "viewer": "see",
    "editor": "see edit",
    "publisher": "see edit publish reveal",
    "approver": "see approve",
    "admin": "see edit publish reveal approve administer",
}


def somebody(*grants: Granted, active: bool = True) -> Actor:
    return Actor(name="mia", user_id=7, active=active, grants=grants)


@pytest.mark.parametrize("place", SEES, ids=str)
@pytest.mark.parametrize("role", ROLES)
def test_a_grant_gives_the_roles_verbs_at_its_place_and_nothing_else(
    role: str, place: tuple[str | None, str | None]
) -> None:
    who = somebody(Granted(role, *place))  # type: ignore[arg-type]  # one of ROLES

    for name, target in TARGETS.items():
        for verb in policies.VERBS:
            reached = SEES[place] if verb == "see" else ACTS[place]
            expected = verb in VERBS_OF[role].split() and name in reached
            assert may(who, verb, target) is expected, (verb, name)


@pytest.mark.parametrize("name", TARGETS)
def test_nobody_and_somebody_switched_off_may_nothing(name: str) -> None:
    for verb in policies.VERBS:
        assert not may(somebody(), verb, TARGETS[name])
        assert not may(somebody(*EVERYTHING, active=False), verb, TARGETS[name])


def test_grants_add_up() -> None:
    who = somebody(Granted("viewer"), Granted("publisher", "billing", "dev"))

    assert may(who, "publish", TARGETS["billing@dev"])
    assert not may(who, "publish", TARGETS["billing@prod"])
    assert may(who, "see", TARGETS["global"])


def test_lists_are_open_to_everybody_active_and_people_to_who_may_give_roles() -> None:
    for word in ("services", "environments", "audit"):
        assert may(somebody(), "see", word)
        assert not may(somebody(*EVERYTHING, active=False), "see", word)
        assert not may(somebody(Granted("admin", "billing")), "administer", word)
        assert may(somebody(*EVERYTHING), "administer", word)
    assert not may(somebody(Granted("publisher")), "see", "people")
    assert may(somebody(Granted("admin", "billing", "prod")), "see", "people")
    assert not may(somebody(Granted("admin", "billing", "prod")), "administer", "people")


def test_what_one_may_not_see_is_not_found_and_what_one_may_not_do_is_named() -> None:
    viewer = somebody(Granted("viewer", "billing"))

    with pytest.raises(NotFound):
        require(viewer, "see", TARGETS["shop@prod"])
    with pytest.raises(NotFound):
        require(viewer, "publish", TARGETS["shop@prod"])
    with pytest.raises(NotAllowed, match="needs the role publisher for billing@prod") as refused:
        require(viewer, "publish", TARGETS["billing@prod"])
    assert refused.value.extra == {"verb": "publish", "role": "publisher"}
    with pytest.raises(NotAllowed, match="editor for billing in every environment"):
        require(viewer, "edit", BILLING)
    with pytest.raises(NotAllowed, match="role admin everywhere"):
        require(viewer, "administer", "services")
    with pytest.raises(NotAllowed, match="switched off"):
        require(somebody(*EVERYTHING, active=False), "see", TARGETS["shop@prod"])


def test_what_is_no_verb_or_no_target_is_a_programming_error() -> None:
    for who in (somebody(*EVERYTHING), somebody(active=False)):
        with pytest.raises(ValueError, match="'look'"):
            require(who, "look", BILLING)  # type: ignore[arg-type]
        for target in ("billing", None, 7, "Services"):
            with pytest.raises(ValueError, match="is not a target"):
                require(who, "see", target)


def test_a_role_that_a_newer_program_wrote_gives_nothing() -> None:
    assert not may(somebody(Granted("emperor")), "see", BILLING)  # type: ignore[arg-type]


# --- a token's reach ------------------------------------------------------------------------------

EVERY_VERB = frozenset(policies.VERBS)
PLACES = list(SEES)


def program(*reaches: Reach, grants: tuple[Granted, ...] = EVERYTHING) -> Actor:
    """A token with a reach, of somebody who may everything where `grants` are not said."""
    return Actor(name="token:ci", user_id=7, active=True, grants=grants, reach=reaches)


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("verb", policies.VERBS)
def test_a_reach_gives_its_verbs_at_its_place_and_nothing_else(
    verb: Verb, place: tuple[str | None, str | None]
) -> None:
    who = program(Reach(frozenset({"see", verb}), *place))

    for name, target in TARGETS.items():
        for asked in policies.VERBS:
            reached = SEES[place] if asked == "see" else ACTS[place]
            expected = asked in ("see", verb) and name in reached
            assert may(who, asked, target) is expected, (asked, name)


@pytest.mark.parametrize("reached", PLACES, ids=str)
@pytest.mark.parametrize("held", PLACES, ids=str)
@pytest.mark.parametrize("role", ROLES)
def test_a_token_may_what_its_person_may_and_its_reach_has(
    role: str, held: tuple[str | None, str | None], reached: tuple[str | None, str | None]
) -> None:
    granted = Granted(role, *held)  # type: ignore[arg-type]  # one of ROLES
    reach = Reach(EVERY_VERB - {"edit"}, *reached)
    both = program(reach, grants=(granted,))
    person, token = somebody(granted), program(reach)

    for verb in policies.VERBS:
        for name, target in TARGETS.items():
            expected = may(person, verb, target) and may(token, verb, target)
            assert may(both, verb, target) is expected, (verb, name)
        for place in [*PLACES, ("shop", None), ("shop", "prod"), (None, "dev")]:
            expected = may_at(person, verb, *place) and may_at(token, verb, *place)
            assert may_at(both, verb, *place) is expected, (verb, place)
    for slugs in SLUGS:
        expected = may_see_slug(person, **slugs) and may_see_slug(token, **slugs)
        assert may_see_slug(both, **slugs) is expected, slugs


SLUGS: list[dict[str, str]] = [
    {"service": "billing"}, {"service": "shop"}, {"environment": "prod"}, {"environment": "dev"},
    {"service": "billing", "environment": "prod"}, {"service": "shop", "environment": "dev"}, {},
]  # fmt: skip
# What a reach of all verbs at a place may administer, and of which it sees the name.
AT = {
    (None, None): "everything, billing, prod, billing@prod, shop@dev",
    ("billing", None): "billing, billing@prod",
    (None, "prod"): "prod, billing@prod",
    ("billing", "prod"): "billing@prod",
}
NAMES = {
    (None, None): "service billing, service shop, environment prod, environment dev",
    ("billing", None): "service billing, environment prod, environment dev",
    (None, "prod"): "service billing, service shop, environment prod",
    ("billing", "prod"): "service billing, environment prod",
}


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_where_a_reach_covers_a_place_and_whose_names_it_sees(
    place: tuple[str | None, str | None],
) -> None:
    who = program(Reach(EVERY_VERB, *place))
    asked = {
        "everything": (None, None), "billing": ("billing", None), "prod": (None, "prod"),
        "billing@prod": ("billing", "prod"), "shop@dev": ("shop", "dev"),
    }  # fmt: skip
    kinds = [("service", "billing"), ("service", "shop"), ("environment", "prod"), ("environment", "dev")]  # fmt: skip

    covered = [name for name, slugs in asked.items() if may_at(who, "administer", *slugs)]
    named = [f"{kind} {slug}" for kind, slug in kinds if may_see_slug(who, **{kind: slug})]

    assert covered == AT[place].split(", ")
    assert named == NAMES[place].split(", ")
    assert sees_everything(who) is (place == (None, None))


def test_a_reach_without_see_sees_nothing() -> None:
    who = program(Reach(frozenset({"publish"})))

    assert not sees_everything(who)
    assert not may_see_slug(who, service="billing")
    assert not may(who, "see", BILLING)
    with pytest.raises(NotFound):
        require(who, "edit", BILLING)


@pytest.mark.parametrize("name", TARGETS)
def test_no_reach_at_all_reaches_nothing(name: str) -> None:
    for verb in policies.VERBS:
        assert not may(program(), verb, TARGETS[name])
    assert not any(may_at(program(), verb, None, None) for verb in policies.VERBS)
    assert not may_see_slug(program(), service="billing")
    assert not sees_everything(program())


def test_reaches_add_up_verb_by_verb() -> None:
    who = program(Reach(frozenset({"see"})), Reach(frozenset({"see", "publish"}), "billing", "dev"))

    assert may(who, "publish", TARGETS["billing@dev"])
    assert not may(who, "publish", TARGETS["billing@prod"])
    assert not may(who, "edit", TARGETS["billing@dev"])
    assert may(who, "see", TARGETS["global"])


def test_lists_are_open_to_every_token_and_people_to_who_may_give_roles() -> None:
    everywhere = program(Reach(EVERY_VERB))
    here = program(Reach(frozenset({"see", "administer"}), "billing"))
    sees = program(Reach(frozenset({"see", "edit", "publish", "approve", "reveal"})))
    for word in ("services", "environments", "audit"):
        for who in (everywhere, here, sees, program()):
            assert may(who, "see", word)
        assert may(everywhere, "administer", word)
        assert not any(may(who, "administer", word) for who in (here, sees, program()))
    assert [may(who, "see", "people") for who in (everywhere, here, sees, program())] == [
        True, True, False, False,
    ]  # fmt: skip
    assert may(everywhere, "administer", "people")
    assert not may(here, "administer", "people")
    viewer = program(Reach(EVERY_VERB), grants=(Granted("viewer"),))
    assert not may(viewer, "see", "people")


def test_a_token_of_somebody_switched_off_may_nothing() -> None:
    who = Actor("token:ci", 7, active=False, grants=EVERYTHING, reach=(Reach(EVERY_VERB),))

    for target in (*TARGETS.values(), *policies.WORDS):
        assert not any(may(who, verb, target) for verb in policies.VERBS)


def test_a_refused_token_is_told_whether_it_or_its_person_is_the_one() -> None:
    reach = Reach(frozenset({"see", "edit"}), "billing")

    with pytest.raises(NotAllowed, match="its person may, but this token reaches less") as refused:
        require(program(reach), "publish", TARGETS["billing@prod"])
    assert refused.value.detail.endswith("Use one that may publish for billing@prod.")
    assert refused.value.extra == {"verb": "publish"}
    with pytest.raises(NotAllowed, match="needs the role publisher for billing@prod"):
        require(program(reach, grants=(Granted("viewer"),)), "publish", TARGETS["billing@prod"])
    with pytest.raises(NotFound):
        require(program(reach), "publish", TARGETS["shop@prod"])
