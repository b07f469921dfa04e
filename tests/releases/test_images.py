"""A release remembers the image it was made for, and a step back on one side offers the other."""

from collections.abc import Mapping

import pytest

from confhub.publishing import actions as publishing
from confhub.publishing.gates import Consent
from confhub.releases import images
from confhub.releases.images import BadImage, Offers
from confhub.releases.models import Release
from tests.parts.factories import ANN, NOON, a_scope

OLD = {"name": "ghcr.io/acme/shop:1.8", "digest": "sha256:" + "0a" * 32}
NEW = {"name": "ghcr.io/acme/shop:1.9", "digest": "sha256:" + "0b" * 32}


def publish(image: Mapping[str, str] | None, **values: object) -> Release:
    held = publishing.publish_changes(
        a_scope(), set=values, unset=[], message="m", consent=Consent(image=image), who=ANN, now=NOON
    )  # fmt: skip
    return held.release


def roll_back(number: int) -> Release:
    return publishing.roll_back(a_scope(), number=number, message="", who=ANN, now=NOON).release


@pytest.mark.django_db
def test_a_release_without_an_image_is_for_the_one_that_runs() -> None:
    publish(OLD, A=1)

    assert publish(None, A=2).image == OLD
    assert publish(NEW, A=3).image == NEW


@pytest.mark.django_db
def test_another_image_is_a_change_and_the_same_one_is_none() -> None:
    publish(OLD, A=1)

    fresh = publish(NEW, A=1)
    again = publish(NEW, A=1)

    assert (fresh.number, again.number) == (2, 2)
    assert fresh.image == NEW


@pytest.mark.django_db
def test_a_rollback_keeps_the_image_of_what_it_restores_and_offers_it() -> None:
    publish(OLD, A=1)
    publish(NEW, A=2)
    publish(None, A=3)

    back = roll_back(1)

    assert back.image == OLD
    assert images.offers(back) == Offers(image=OLD)


@pytest.mark.django_db
def test_a_rollback_within_one_image_offers_nothing() -> None:
    publish(OLD, A=1)
    publish(None, A=2)

    assert not images.offers(roll_back(1))


@pytest.mark.django_db
def test_an_image_that_comes_back_offers_the_configuration_that_it_had() -> None:
    publish(OLD, A=1)
    publish(None, A=2)
    publish(NEW, A=3)

    back = publish(OLD, A=4)

    assert images.offers(back) == Offers(release=2)


@pytest.mark.django_db
def test_an_image_that_comes_back_with_its_own_configuration_offers_nothing() -> None:
    publish(OLD, A=1)
    publish(NEW, A=2)

    assert not images.offers(publish(OLD, A=1))


@pytest.mark.django_db
def test_first_images_offer_nothing() -> None:
    first = publish(OLD, A=1)
    fresh = publish(NEW, A=2)

    assert not images.offers(first)
    assert not images.offers(fresh)


@pytest.mark.django_db
def test_an_older_release_offers_its_image_beside_the_newest() -> None:
    old, plain, new = publish(OLD, A=1), publish(None, A=2), publish(NEW, A=3)

    assert images.offers_beside(old) == Offers(image=OLD)
    assert images.offers_beside(plain) == Offers(image=OLD)
    assert not images.offers_beside(new)
    back = roll_back(1)
    assert images.offers_beside(back) == Offers(image=OLD)
    assert images.offers_beside(new) == Offers(image=NEW)
    assert not images.offers_beside(old)


@pytest.mark.parametrize(
    "image",
    [
        {"name": "shop", "digest": "sha256:" + "0A" * 32},
        {"name": "shop", "digest": "sha256:" + "0a" * 31},
        {"name": "shop", "digest": "sha512:" + "0a" * 32},
        {"name": "shop", "digest": "0a" * 32},
        {"name": "shop", "digest": None},
        {"name": "", "digest": OLD["digest"]},
        {"name": "a b", "digest": OLD["digest"]},
        {"name": "a\x00", "digest": OLD["digest"]},
        {"name": "x" * 301, "digest": OLD["digest"]},
        {"digest": OLD["digest"]},
        {},
    ],
    ids=["capitals", "short", "sha512", "no algorithm", "null", "no name", "space", "NUL", "long", "nameless", "empty"],
)  # fmt: skip
@pytest.mark.django_db
def test_what_is_no_image_is_refused_and_nothing_is_published(image: dict[str, str]) -> None:
    with pytest.raises(BadImage):
        publish(image, A=1)

    assert not Release.objects.exists()
