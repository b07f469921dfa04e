"""One Etcd object over a fork: good before its first use, refused at once after it."""

import subprocess
import sys
from pathlib import Path

from tests.parts.servers import EtcdServer
from watchers.etcd import Etcd

ROOT = Path(__file__).parents[3]

# Run in a process of their own, because pytest's has used gRPC and has threads.
UNUSED = """
import os, sys
from watchers.etcd import Etcd, put

etcd, prefix = Etcd([sys.argv[1]]), sys.argv[2]
children = []
for number in range(4):
    pid = os.fork()
    if pid == 0:
        etcd.transact(success=[put(prefix + f"child{number}", b"1")])
        os._exit(0 if etcd.get(prefix + f"child{number}")[0].value == b"1" else 1)
    children.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
etcd.transact(success=[put(prefix + "parent", b"1")])
print(codes, len(etcd.read_prefix(prefix)[0]))
"""

USED = """
import os, sys
from watchers.etcd import Etcd, Refused, put

etcd, prefix = Etcd([sys.argv[1]]), sys.argv[2]
etcd.transact(success=[put(prefix + "parent", b"1")])
pid = os.fork()
if pid == 0:
    try:
        for again in (etcd, Etcd([sys.argv[1]])):
            try:
                again.transact(success=[put(prefix + "child", b"1")])
            except Refused as error:
                print(error, flush=True)
            else:
                os._exit(1)
        os._exit(0)
    finally:
        os._exit(2)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(code, list(etcd.read_prefix(prefix)[0]) == [prefix + "parent"])
"""


def run(script: str, *arguments: str) -> list[str]:
    """The lines that `script` prints."""
    ran = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def test_one_made_before_the_fork_serves_parent_and_children(
    etcd: EtcdServer, store: Etcd, prefix: str
) -> None:
    assert run(UNUSED, etcd.endpoint, f"{prefix}/") == ["[0, 0, 0, 0] 5"]
    assert len(store.read_prefix(f"{prefix}/")[0]) == 5


def test_one_used_before_the_fork_is_refused_in_the_child_and_goes_on_in_the_parent(
    etcd: EtcdServer, prefix: str
) -> None:
    *refusals, end = run(USED, etcd.endpoint, f"{prefix}/")

    assert len(refusals) == 2, "a new object is no way around it"
    assert all("Fork before the first use" in line for line in refusals)
    assert end == "0 True"
