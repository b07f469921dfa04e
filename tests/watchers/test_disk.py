"""Generations on a real disk: whole or not at all, within one directory, last-known-good kept."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.watchers.served import ROOT
from watchers.swap import folders
from watchers.swap.disk import CannotWrite, Directory


def opened(path: Path) -> Directory:
    return Directory(folders.open_directory(str(path), make=True), str(path))


def files(release: int, size: int = 10) -> dict[str, bytes]:
    """Files that all say which release they are of."""
    return {
        "release": f"{release}\n".encode(),
        "config.json": json.dumps({"N": release, "PAD": "x" * size}).encode(),
        "config.env": f"N='{release}'\n".encode(),
        "nginx.conf": f"# {release}\n".encode() * size,
    }


def put(path: Path, release: int, *, good: bool = True) -> str:
    with opened(path) as directory:
        generation = directory.write(release, files(release))
        directory.swap(generation)
        directory.settle(good=generation if good else None)
    return generation


def test_readers_find_every_file_under_its_own_name(tmp_path: Path) -> None:
    put(tmp_path, 42)

    assert (tmp_path / "current").readlink() == Path("gen-42")
    for name, content in files(42).items():
        assert (tmp_path / name).readlink() == Path(f"current/{name}")
        assert (tmp_path / name).read_bytes() == content
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "gen-42").stat().st_mode & 0o777 == 0o755


def test_a_tight_umask_does_not_hide_files_from_the_container(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        put(tmp_path / "new", 1)
    finally:
        os.umask(before)

    assert (tmp_path / "new" / "release").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "new" / "gen-1").stat().st_mode & 0o777 == 0o755


def test_two_generations_and_the_good_one_are_kept(tmp_path: Path) -> None:
    for release in (1, 2, 3):
        put(tmp_path, release)
    assert sorted(p.name for p in tmp_path.glob("gen-*")) == ["gen-2", "gen-3"]

    put(tmp_path, 4, good=False)
    put(tmp_path, 5, good=False)

    with opened(tmp_path) as directory:
        assert (directory.current(), directory.good()) == ("gen-5", "gen-3")
    assert sorted(p.name for p in tmp_path.glob("gen-*")) == ["gen-3", "gen-5"]


def test_an_entry_that_left_leaves_no_name_behind(tmp_path: Path) -> None:
    put(tmp_path, 1)
    with opened(tmp_path) as directory:
        generation = directory.write(2, {"release": b"2\n"})
        directory.swap(generation)
        directory.settle()

    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith((".", "gen"))) == [
        "current", "release",
    ]  # fmt: skip


def test_the_same_release_with_other_files_is_another_generation(tmp_path: Path) -> None:
    put(tmp_path, 1)
    with opened(tmp_path) as directory:
        assert directory.write(1, files(1)) == "gen-1"
        assert directory.write(1, {"release": b"1\n"}) == "gen-1.1"


def test_a_file_that_is_not_ours_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text("mine")

    with pytest.raises(CannotWrite, match="was not made by ConfHub"):
        put(tmp_path, 1)

    assert (tmp_path / "nginx.conf").read_text() == "mine"
    assert not (tmp_path / "current").exists()


@pytest.mark.parametrize("name", ["nginx.conf", "current"])
def test_a_link_that_is_not_ours_is_not_followed_or_replaced(tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / name).symlink_to(outside)

    with pytest.raises(CannotWrite, match="was not made by ConfHub"):
        put(inside, 1)

    assert list(outside.iterdir()) == []
    assert (inside / name).readlink() == outside


def test_a_symlinked_parent_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    with pytest.raises(NotADirectoryError):
        put(tmp_path / "link" / "below", 1)
    with pytest.raises(OSError, match="upward"):
        folders.open_below(os.open("/", os.O_RDONLY), "tmp/../etc")

    assert list((tmp_path / "real").iterdir()) == []


def test_a_generation_swapped_for_a_link_is_not_read(tmp_path: Path) -> None:
    put(tmp_path, 1)
    secret = tmp_path / "gen-1" / "config.json"
    secret.unlink()
    secret.symlink_to("/etc/shadow")

    with opened(tmp_path) as directory:
        assert directory.read("gen-1") is None
        assert directory.write(1, files(1)) == "gen-1.1"


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
def test_a_full_disk_keeps_the_old_files(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)], check=True)
    try:
        put(small, 1)
        with opened(small) as directory, pytest.raises(CannotWrite, match="No space left"):
            directory.write(2, files(2, size=200_000))

        assert (small / "release").read_text() == "1\n"
        assert not list(small.glob(".new-*"))
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_two_writers_wait_for_each_other(tmp_path: Path) -> None:
    with opened(tmp_path):
        other = multiprocessing.get_context("spawn").Process(target=put, args=(tmp_path, 7))
        other.start()
        time.sleep(0.3)
        assert not (tmp_path / "current").exists()
    other.join(20)

    assert (tmp_path / "release").read_text() == "7\n"


READER = """
import os, sys, time
path, until = sys.argv[1], time.monotonic() + float(sys.argv[2])
seen = 0
while time.monotonic() < until:
    try:
        inside = os.open(path + "/current", os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        continue
    try:
        read = {}
        for name in ("release", "config.env", "nginx.conf"):
            at = os.open(name, os.O_RDONLY, dir_fd=inside)
            read[name] = os.read(at, 100).decode()
            os.close(at)
    except FileNotFoundError:
        continue  # three swaps while we slept: the directory that we held was removed
    finally:
        os.close(inside)
    number = read["release"].strip()
    assert read["config.env"] == f"N='{number}'\\n", read
    assert read["nginx.conf"].startswith(f"# {number}\\n"), read
    seen += 1
print(seen)
"""
WRITER = """
import json, sys
from watchers.swap import folders
from watchers.swap.disk import Directory
path, release = sys.argv[1], int(sys.argv[2])
while True:
    release += 1
    files = {
        "release": f"{release}\\n".encode(),
        "config.json": json.dumps({"N": release, "PAD": "x" * 10}).encode(),
        "config.env": f"N='{release}'\\n".encode(),
        "nginx.conf": f"# {release}\\n".encode() * 10,
    }
    with Directory(folders.open_directory(path), path) as directory:
        generation = directory.write(release, files)
        directory.swap(generation)
        directory.settle(good=generation)
"""


def test_no_reader_sees_two_releases_while_writers_are_killed(tmp_path: Path) -> None:
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(tmp_path), "6"], stdout=subprocess.PIPE, text=True
    )
    chance, release = random.Random(7), 0  # noqa: S311  # the same moments each time
    while reader.poll() is None:
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(release)], cwd=ROOT
        )
        time.sleep(0.3 + chance.random() / 2)
        writer.send_signal(signal.SIGKILL)
        writer.wait(10)
        with opened(tmp_path) as directory:
            generation = directory.current()
            if generation is not None:
                release = int((tmp_path / "release").read_text())
                assert directory.read(generation) == files(release)
    out, _ = reader.communicate(timeout=20)

    assert reader.returncode == 0
    assert int(out) > 100
    assert release > 20
    put(tmp_path, release + 1)
    assert not list(tmp_path.glob(".new-*")), "what a killed writer left is tidied up"


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,20}", fullmatch=True).filter(
            lambda name: name != "current" and not name.startswith("gen-")
        ),
        st.binary(max_size=2000),
        min_size=1,
        max_size=6,
    )
)
def test_what_was_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, held: dict[str, bytes]
) -> None:
    path = tmp_path_factory.mktemp("any")
    with opened(path) as directory:
        generation = directory.write(1, held)
        directory.swap(generation)
        directory.settle()

    assert {name: (path / name).read_bytes() for name in held} == held
