"""etcd with users, roles and TLS: a host writes the status of its own instances and nothing else."""

import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.parts.publisher import Publisher
from tests.parts.servers import EtcdServer, wait_until
from tests.watchers.served import ROOT, Process, runtime_for
from watchers import options
from watchers.agent import Agent
from watchers.etcd import Credentials, Denied, Etcd, EtcdError, put
from watchers.options import BadOption
from watchers.wire.status import Status

PAGE = ROOT / "docs" / "operating" / "etcd-roles.md"
SERVER = Credentials("confhub-server", "SERVER_PASSWORD")
NODE = Credentials("node-7", "NODE_7_PASSWORD")
OTHER = Credentials("node-77", "NODE_77_PASSWORD")
TOKEN_S = 2


def commands() -> list[list[str]]:
    """The page's own commands, then the same for a second host whose name begins like the first's."""
    found = re.findall(r"^etcdctl (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    enable = found.pop()
    assert enable == "auth enable"
    assert len(found) > 10
    hosts = [line for line in found if "node-7" in line]
    again = [line.replace("node-7", "node-77").replace("NODE_7_", "NODE_77_") for line in hosts]
    return [line.split() for line in (*found, *again, enable)]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[EtcdServer]:
    server = EtcdServer(tmp_path / "etcd", arguments=["--auth-token-ttl", str(TOKEN_S)])
    server.start()
    for command in commands():
        server.ctl(*command)
    yield server
    server.stop()


class Guarded(Publisher):
    """Publishes with the server's login."""

    def __init__(
        self, server: EtcdServer, who: Credentials = SERVER, *, endpoint: str = ""
    ) -> None:
        super().__init__(endpoint or server.endpoint, "/confhub/v1", "shop", "prod")
        self.etcd = Etcd([self.endpoint], credentials=who)

    def transact(self, puts: dict[str, bytes], deletes: list[str] | None = None) -> None:  # type: ignore[override]
        self.etcd.transact(success=[put(key, raw) for key, raw in puts.items()])

    def status(self, instance: str) -> Status | None:
        held, _ = self.etcd.get(self.keys.instance(instance))
        return Status.from_bytes(held.value) if held else None

    def until_confirmed(self, release: int, instance: str) -> None:
        wait_until(
            lambda: (s := self.status(instance)) is not None and s.receipt is not None
            and (s.receipt.release, s.receipt.state) == (release, "confirmed"),
            what=f"release {release} is confirmed",
        )  # fmt: skip


class Running:
    """An agent of `host` with a login of its own, in a thread."""

    def __init__(self, publisher: Guarded, process: Process, who: Credentials, state: Path) -> None:
        self.etcd = Etcd([publisher.endpoint], credentials=who)
        runtime = runtime_for(
            process.process.pid, process.directory, instance="node-7.web", environment="prod"
        )
        self.agent = Agent(self.etcd, publisher.keyspace, [runtime], state, "node-7")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self.agent.run, args=(self._stop,))
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(20)
        self.etcd.close()


def test_a_host_writes_for_itself_and_for_nobody_else(guarded: EtcdServer) -> None:
    publisher = Guarded(guarded)
    publisher.publish({"MAX": 1})
    node, keys = Etcd([guarded.endpoint], credentials=NODE), publisher.keys

    lease = node.grant(15)
    node.transact(success=[put(keys.instance("node-7.web"), b"{}", lease)])
    assert node.get(keys.current)[0] is not None
    assert node.get(publisher.keyspace.epoch)[0] is None
    for forbidden in (
        keys.instance("node-77.web"),
        keys.instance("web"),
        keys.current,
        keys.rollout,
        keys.release(2),
        publisher.keyspace.epoch,
        publisher.keyspace.scope("shop", "dev").instance("node-7.web"),
    ):
        with pytest.raises(Denied):
            node.transact(success=[put(forbidden, b"{}")])
    with pytest.raises(Denied):
        node.get(publisher.keyspace.scope("bank", "prod").current)
    other = Etcd([guarded.endpoint], credentials=OTHER)
    with pytest.raises(Denied):
        other.transact(success=[put(keys.instance("node-7.web"), b"{}")])
    node.close()
    other.close()
    publisher.etcd.close()


def test_an_agent_serves_with_its_own_login_and_outlives_its_tokens(
    guarded: EtcdServer, process: Process, tmp_path: Path
) -> None:
    publisher = Guarded(guarded)
    publisher.publish({"MAX": 1})
    running = Running(publisher, process, NODE, tmp_path / "state")
    try:
        publisher.until_confirmed(1, "node-7.web")
        # Longer than a token lives: each of these is told to whoever still listens.
        for release in (2, 3, 4):
            threading.Event().wait(TOKEN_S * 1.2)
            publisher.publish({"MAX": release})
            publisher.until_confirmed(release, "node-7.web")
    finally:
        running.stop()
        publisher.etcd.close()

    assert [line["release"] for line in process.lines() if line["why"] == "HUP"] == [1, 2, 3, 4]


def test_a_host_that_may_not_read_says_so_and_goes_on_once_it_may(
    guarded: EtcdServer, process: Process, tmp_path: Path
) -> None:
    permission = ("confhub-node-7", "/confhub/v1/prod/shop/", "--prefix")
    guarded.ctl("--user=root:ROOT_PASSWORD", "role", "revoke-permission", *permission)
    publisher = Guarded(guarded)
    publisher.publish({"MAX": 1})
    running = Running(publisher, process, NODE, tmp_path / "state")
    try:
        wait_until(
            lambda: "permission denied" in (running.agent.silence() or ""), what="it is denied"
        )
        name, prefix, how = permission
        guarded.ctl(
            "--user=root:ROOT_PASSWORD", "role", "grant-permission", name, "read", prefix, how
        )
        publisher.until_confirmed(1, "node-7.web")
    finally:
        running.stop()
        publisher.etcd.close()


# ── TLS ───────────────────────────────────────────────────────────────────────────────────────────


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60)


def make_certificates(folder: Path) -> None:
    """An authority, a server for 127.0.0.1, and a client whose common name is node-7."""
    folder.mkdir()
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(folder, "req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2",
            "-subj", "/CN=test authority")  # fmt: skip
    for name, subject, more in (
        ("server", "/CN=etcd", "subjectAltName=IP:127.0.0.1\n"),
        ("node", "/CN=node-7", "extendedKeyUsage=clientAuth\n"),
        ("server-login", "/CN=confhub-server", "extendedKeyUsage=clientAuth\n"),
    ):
        (folder / f"{name}.ext").write_text(more)
        openssl(
            folder, "req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject
        )
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext", "-out", f"{name}.crt")  # fmt: skip


class TlsEtcd(EtcdServer):
    """One that speaks TLS to clients, and wants to see their certificates."""

    def __init__(self, directory: Path, certificates: Path) -> None:
        super().__init__(directory)
        self.certificates = certificates
        self.arguments = [
            "--cert-file", str(certificates / "server.crt"),
            "--key-file", str(certificates / "server.key"),
            "--client-cert-auth", "--trusted-ca-file", str(certificates / "ca.crt"),
        ]  # fmt: skip

    @property
    def endpoint(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def command(self) -> list[str]:
        plain, secure = f"http://127.0.0.1:{self.port}", f"https://127.0.0.1:{self.port}"
        return [secure if word == plain else word for word in super().command()]

    def login(self, name: str) -> Credentials:
        return Credentials(
            ca=self.certificates / "ca.crt",
            certificate=self.certificates / f"{name}.crt",
            key=self.certificates / f"{name}.key",
        )

    def answers(self) -> bool:
        probe = Etcd([self.endpoint], timeout_s=1.0, credentials=self.login("node"))
        try:
            probe.get("/x")
        except EtcdError:
            return False
        finally:
            probe.close()
        return True

    def ctl(self, *arguments: str) -> None:
        ours = self.certificates
        super().ctl(
            f"--cacert={ours / 'ca.crt'}", f"--cert={ours / 'server-login.crt'}",
            f"--key={ours / 'server-login.key'}", *arguments,
        )  # fmt: skip


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[TlsEtcd]:
    make_certificates(tmp_path / "certificates")
    server = TlsEtcd(tmp_path / "etcd", tmp_path / "certificates")
    server.start()
    yield server
    server.stop()


def test_a_certificate_s_common_name_is_the_login(
    secured: TlsEtcd, process: Process, tmp_path: Path
) -> None:
    for command in commands():
        secured.ctl(*command)
    publisher = Guarded(secured, secured.login("server-login"))
    publisher.publish({"MAX": 1})
    running = Running(publisher, process, secured.login("node"), tmp_path / "state")
    try:
        publisher.until_confirmed(1, "node-7.web")
        with pytest.raises(Denied):
            running.etcd.transact(success=[put(publisher.keys.current, b"{}")])
    finally:
        running.stop()
        publisher.etcd.close()


def test_a_stranger_and_a_server_of_another_authority_are_not_spoken_to(
    secured: TlsEtcd, tmp_path: Path
) -> None:
    make_certificates(tmp_path / "others")
    others = tmp_path / "others"
    strange = Credentials(ca=secured.login("node").ca, certificate=others / "node.crt", key=others / "node.key")  # fmt: skip
    deceived = Credentials(ca=others / "ca.crt", certificate=secured.login("node").certificate, key=secured.login("node").key)  # fmt: skip

    for who in (strange, deceived):
        client = Etcd([secured.endpoint], timeout_s=2.0, credentials=who)
        with pytest.raises(EtcdError):
            client.get("/x")
        client.close()


# ── settings ──────────────────────────────────────────────────────────────────────────────────────


def test_the_settings_become_the_login(tmp_path: Path) -> None:
    for name in ("password", "ca", "cert", "key"):
        (tmp_path / name).write_text(f"{name}\n")

    told = options.from_environment(
        {
            "ETCD_USER": "node-7", "ETCD_PASSWORD_FILE": str(tmp_path / "password"),
            "ETCD_CA": str(tmp_path / "ca"), "ETCD_CERT": str(tmp_path / "cert"),
            "ETCD_KEY": str(tmp_path / "key"),
            "CONFHUB_HOST": "node-7", "CONFHUB_INSTANCE_PREFIX": "true",
        }
    )  # fmt: skip

    assert told.credentials == Credentials(
        "node-7", "password", tmp_path / "ca", tmp_path / "cert", tmp_path / "key"
    )
    assert "password" not in repr(told)
    assert told.instance_id("shop", "dev") == "node-7.shop-dev"


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ({"ETCD_USER": "ann"}, "ETCD_PASSWORD"),
        ({"ETCD_USER": "a", "ETCD_PASSWORD": "b", "ETCD_PASSWORD_FILE": "/x"}, "keep one"),
        ({"ETCD_CA": "/nowhere/ca.crt"}, "ETCD_CA=/nowhere/ca.crt"),
        ({"ETCD_CERT": __file__}, "ETCD_KEY"),
        ({"CONFHUB_INSTANCE_PREFIX": "true", "CONFHUB_HOST": "a/b"}, "CONFHUB_HOST"),
    ],
)
def test_half_a_login_is_named(said: dict[str, str], names: str) -> None:
    with pytest.raises(BadOption, match=re.escape(names)):
        options.from_environment(said)


def test_ids_without_the_setting_stay_the_contract_s() -> None:
    told = options.from_environment({"CONFHUB_HOST": "node-7"})

    assert (told.id_prefix, told.instance_id("shop", "dev")) == ("", "node-7-shop-dev")
