"""Users and roles: a denied follower says so, and goes on by itself once it is allowed."""

from collections.abc import Callable

import pytest

from tests.parts import etcdctl
from tests.parts.grpc_proxy import GrpcProxy
from tests.parts.servers import EtcdServer
from tests.watchers.etcd.conftest import Follower
from watchers.etcd import Credentials, Denied, Etcd, put

Start = Callable[..., Follower]

ROOT = Credentials(user="root", password="root")
ANN = Credentials(user="ann", password="secret of ann")


@pytest.fixture
def guarded(own_etcd: EtcdServer) -> EtcdServer:
    """An etcd that asks who you are; ann may read what is below /ann/."""
    for command in (
        "user add root:root",
        "role add root",
        "user grant-role root root",
        "role add reader",
        "role grant-permission reader read /ann/ --prefix",
    ):
        own_etcd.ctl(*command.split())
    own_etcd.ctl("user", "add", f"ann:{ANN.password}")
    own_etcd.ctl("user", "grant-role", "ann", "reader")
    own_etcd.ctl("auth", "enable")
    return own_etcd


def as_root(server: EtcdServer, *arguments: str) -> None:
    server.ctl("--user=root:root", *arguments)


def client_of(server: EtcdServer, who: Credentials | None) -> Etcd:
    return Etcd([server.endpoint], timeout_s=1.0, credentials=who)


def test_who_says_no_name_or_a_wrong_one_is_denied(guarded: EtcdServer) -> None:
    wrong = Credentials(user="ann", password="guess")

    with pytest.raises(Denied, match="user name is empty"):
        client_of(guarded, None).get("/ann/a")
    with pytest.raises(Denied, match="authentication failed"):
        client_of(guarded, wrong).get("/ann/a")


def test_a_role_reaches_its_prefix_and_no_further(guarded: EtcdServer) -> None:
    ann = client_of(guarded, ANN)

    assert ann.read_prefix("/ann/")[0] == {}
    with pytest.raises(Denied):
        ann.read_prefix("/ben/")
    with pytest.raises(Denied):
        ann.transact(success=[put("/ann/a", b"1")])
    assert client_of(guarded, ROOT).read_prefix("/ann/")[0] == {}, "refused means untouched"


def test_a_password_is_in_no_text() -> None:
    assert "secret" not in repr(ANN)


def test_a_denied_follower_says_so_and_goes_on_once_it_is_allowed(
    guarded: EtcdServer, follow: Start
) -> None:
    follower = follow(client_of(guarded, ANN), "/ben/")
    follower.until(lambda: len(follower.troubles) > 1, what="it is denied twice")
    assert isinstance(follower.troubles[-1], Denied)
    assert not follower.seen

    as_root(guarded, "role", "grant-permission", "reader", "read", "/ben/", "--prefix")
    follower.until_values({}, timeout_s=6)
    client_of(guarded, ROOT).transact(success=[put("/ben/a", b"1")])
    follower.until_values({"/ben/a": b"1"}, timeout_s=6)


def test_a_watch_that_is_refused_after_the_read_is_no_silent_one(
    guarded: EtcdServer, follow: Start
) -> None:
    """Such a watch says created and cancelled in one answer, and then nothing, on an open stream."""
    with GrpcProxy(guarded.endpoint) as proxy:
        proxy.watches_may_start.clear()
        client = Etcd([proxy.endpoint], timeout_s=5, credentials=ANN)
        follower = follow(client, "/ann/", poll_s=3600)
        follower.until_values({})
        as_root(guarded, "role", "revoke-permission", "reader", "/ann/", "--prefix")
        proxy.watches_may_start.set()

        follower.until(lambda: bool(follower.troubles), what="the refusal is told", timeout_s=5)
        assert isinstance(follower.troubles[0], Denied)
        assert "ended the watch" in str(follower.troubles[0])
        follower.end()
        client.close()


def test_a_token_that_is_no_longer_good_is_replaced(guarded: EtcdServer, follow: Start) -> None:
    """A changed password ends every token; with the right password a new one is taken unasked."""
    with GrpcProxy(guarded.endpoint) as proxy:
        client = Etcd([proxy.endpoint], timeout_s=5, credentials=ANN)
        client.get("/ann/a")
        proxy.watches_may_start.clear()
        follower = follow(client, "/ann/", poll_s=3600)
        follower.until_values({})
        root = client_of(guarded, ROOT)
        root.get("/x")
        _set_password(guarded, "ann", ANN.password or "")
        proxy.watches_may_start.set()

        root.transact(success=[put("/ann/a", b"1")])
        follower.until_values({"/ann/a": b"1"}, timeout_s=6)
        assert client.get("/ann/a")[0] is not None
        assert proxy.calls.count("/etcdserverpb.Auth/Authenticate") == 2
        follower.end()
        client.close()


def _set_password(server: EtcdServer, user: str, password: str) -> None:
    token = etcdctl.call(
        server.endpoint, "/v3/auth/authenticate", {"name": "root", "password": "root"}
    )["token"]
    etcdctl.call(
        server.endpoint,
        "/v3/auth/user/changepw",
        {"name": user, "password": password},
        token=token,
    )
