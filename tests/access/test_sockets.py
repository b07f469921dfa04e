"""An open page ends soon after its right does, and hears no name that its person may not see."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from confhub.core.actors import Actor, Granted
from confhub.events import actions as events
from dashboard.live import feed
from tests.dashboard.test_socket import HEARTBEAT_S, NoRedis, closed_with, dial, subscribe, until
from tests.parts.factories import ANN, a_scope
from tests.parts.servers import EtcdServer
from tests.parts.system import System

MIA_PASSWORD = "a pass of mia"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A web process and its database; no worker, no Redis, no etcd. billing and shop are there."""
    directory = tmp_path_factory.mktemp("rights")
    nobody = EtcdServer(directory / "etcd")  # never started
    system = System(directory, etcd=nobody, redis=NoRedis())  # type: ignore[arg-type]  # only its address is used
    (directory / "var").mkdir()
    system.manage("bootstrap", "--migrate")
    system.web.start()
    for slug in ("billing", "shop"):
        system.call("POST", "/services", {"slug": slug})
    system.call("POST", "/people", {"name": "mia", "password": MIA_PASSWORD})
    yield system
    system.web.stop()


@pytest.fixture
def grant(web: System) -> int:
    """mia is viewer of billing in dev; the grant's id."""
    role = {"role": "viewer", "service": "billing", "environment": "dev"}
    _, made = web.call("POST", "/people/mia/grants", role)
    return int(made["id"])


@contextmanager
def signed_in(web: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=web.url, follow_redirects=True) as client:
        client.get("/sign-in/")
        form = {
            "username": "mia", "password": MIA_PASSWORD,
            "csrfmiddlewaretoken": client.cookies["csrftoken"],
        }  # fmt: skip
        answer = client.post("/sign-in/", data=form, headers={"Referer": f"{web.url}/sign-in/"})
        assert answer.url.path == "/services/"
        yield client


def stream_of(client: httpx.Client, place: str) -> str:
    return client.get(f"/services/{place}/").text.split('data-streams="')[1].split('"')[0]


def test_a_role_taken_back_ends_the_socket_within_a_heartbeat(web: System, grant: int) -> None:
    with signed_in(web) as client:
        scope, cookies = stream_of(client, "billing/dev"), dict(client.cookies)
    with dial(web, cookies) as socket:
        subscribe(socket, scope, "catalog")
        until(socket, "heartbeat")

        web.call("DELETE", f"/people/mia/grants/{grant}")

        assert closed_with(socket, HEARTBEAT_S + 3) == 4403


def test_an_account_switched_off_ends_the_socket_within_a_heartbeat(
    web: System, grant: int
) -> None:
    with signed_in(web) as client:
        scope, cookies = stream_of(client, "billing/dev"), dict(client.cookies)
    with dial(web, cookies) as socket:
        subscribe(socket, scope)
        until(socket, "heartbeat")

        web.call("PATCH", "/people/mia", {"active": False})

        assert closed_with(socket, HEARTBEAT_S + 3) == 4401
    web.call("PATCH", "/people/mia", {"active": True})


def test_another_services_stream_closes_the_socket(web: System, grant: int) -> None:
    with signed_in(web) as client:
        own = int(stream_of(client, "billing/dev").removeprefix("scope."))
        cookies = dict(client.cookies)
    for other in (own + 1, own + 3):  # billing elsewhere, shop
        with dial(web, cookies) as socket:
            subscribe(socket, f"scope.{own}", f"scope.{other}")
            assert closed_with(socket) == 4403


@pytest.mark.django_db
def test_the_catalogs_stream_tells_no_name_that_one_may_not_see() -> None:
    a_scope("billing", "prod")
    a_scope("secretive", "hidden")
    events.number_new_events()
    mia = Actor(name="mia", user_id=7, active=True, grants=(Granted("viewer", "billing", "prod"),))

    heard = feed.missed(0, ["catalog"], who=mia, resumes=True)
    everything = feed.missed(0, ["catalog"], who=ANN, resumes=True)  # fmt: skip

    assert [each["position"] for each in heard.events] == [
        each["position"] for each in everything.events
    ]
    assert [each["data"] for each in heard.events] == [
        {"service": "billing"}, {"environment": "prod"}, {}, {},
    ]  # fmt: skip
    assert {"service": "secretive"} in [each["data"] for each in everything.events]
    nobody = Actor(name="eve", user_id=8, active=True)
    assert all(each["data"] == {} for each in feed.missed(0, ["catalog"], who=nobody, resumes=True).events)  # fmt: skip
