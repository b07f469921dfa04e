"""Which role gives what where, as one table; and what a refusal says."""

import pytest

from confhub.access import policies
from confhub.access.policies import NotAllowed, NotFound, may, require
from confhub.catalog.models import Environment, Layer, Scope, Service
from confhub.core.actors import EVERYTHING, ROLES, Actor, Granted

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
