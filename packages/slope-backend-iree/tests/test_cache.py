"""The disk cache: what comes back, what damage does, its bound, many writers at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from slope_backend_iree.cache import DiskCache, digest

OVERHEAD = 40  # magic number and checksum of each file


def entry_file(cache: DiskCache, key: str) -> Path:
    return cache.directory / f"{key}.bin"


def test_digest_tells_part_boundaries_apart():
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("ab", "c") == digest("ab", "c")
    assert len(digest()) == 64


def test_get_returns_what_put_stored(tmp_path):
    cache = DiskCache(tmp_path / "new" / "folder")
    assert cache.get("k") is None
    cache.put("k", b"one")
    cache.put("k", b"two")
    cache.put("empty", b"")
    assert cache.get("k") == b"two"
    assert cache.get("empty") == b""
    assert DiskCache(cache.directory).get("k") == b"two"
    assert [path.name for path in sorted(cache.directory.iterdir())] == ["empty.bin", "k.bin"]


@pytest.mark.parametrize("key", ["", "../x", "a/b", "a.b", "x" * 129])
def test_keys_that_are_not_plain_names_are_refused(tmp_path, key):
    with pytest.raises(ValueError, match="cache key"):
        DiskCache(tmp_path).get(key)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:20],
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: b"other" + data[5:],
    ],
    ids=["empty", "header cut", "payload cut", "longer", "bit flipped", "wrong magic"],
)
def test_a_damaged_entry_is_absent_removed_and_made_again(tmp_path, damage):
    cache = DiskCache(tmp_path)
    cache.put("k", b"payload")
    path = entry_file(cache, "k")
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get("k") is None
    assert not path.exists()
    cache.put("k", b"again")
    assert cache.get("k") == b"again"


def test_the_least_recently_used_go_first(tmp_path):
    cache = DiskCache(tmp_path, max_bytes=3 * (100 + OVERHEAD))
    for age, key in ((30, "a"), (20, "b"), (10, "c")):
        cache.put(key, key.encode() * 100)
        past = time.time() - age
        os.utime(entry_file(cache, key), (past, past))
    assert cache.size() == cache.max_bytes
    assert cache.get("a") is not None  # now "b" is the oldest
    cache.put("d", b"d" * 100)
    assert cache.get("b") is None
    assert all(cache.get(key) == key.encode() * 100 for key in "acd")
    assert cache.size() == cache.max_bytes


def test_what_exceeds_the_bound_alone_is_not_stored(tmp_path):
    cache = DiskCache(tmp_path, max_bytes=100)
    cache.put("small", b"x")
    cache.put("large", b"y" * 100)
    assert cache.get("large") is None
    assert cache.get("small") == b"x"


def test_abandoned_part_files_go_and_fresh_ones_stay(tmp_path):
    old, fresh = tmp_path / "old.part", tmp_path / "fresh.part"
    old.write_bytes(b"x")
    fresh.write_bytes(b"x")
    os.utime(old, (0, 0))
    DiskCache(tmp_path).put("k", b"v")
    assert not old.exists()
    assert fresh.exists()


def test_an_unwritable_cache_is_empty_and_refuses_what_is_put(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_bytes(b"")
    cache = DiskCache(blocker)  # a file where the directory should be
    with pytest.raises(OSError, match="exists"):
        cache.put("k", b"x")
    assert cache.get("k") is None


def test_a_failed_write_leaves_no_part_file(tmp_path):
    cache = DiskCache(tmp_path)
    entry_file(cache, "k").mkdir()  # os.replace cannot put a file over a directory
    with pytest.raises(IsADirectoryError):
        cache.put("k", b"x")
    assert not list(tmp_path.glob("*.part"))


def test_clear_and_size(tmp_path):
    cache = DiskCache(tmp_path / "c")
    assert cache.size() == 0
    cache.put("a", b"1" * 10)
    cache.put("b", b"2" * 20)
    assert cache.size() == 30 + 2 * OVERHEAD
    cache.clear()
    assert cache.size() == 0
    assert cache.get("a") is None


def test_negative_bound_is_refused(tmp_path):
    with pytest.raises(ValueError, match="max_bytes"):
        DiskCache(tmp_path, max_bytes=-1)


_WRITER = """
import sys
from slope_backend_iree.cache import DiskCache
cache = DiskCache(sys.argv[1], max_bytes=20_000)
bad = 0
for step in range(150):
    key = f"k{step % 7}"
    found = cache.get(key)
    if found is not None and (len(set(found)) != 1 or len(found) != 4000):
        bad += 1
    cache.put(key, bytes([int(sys.argv[2])]) * 4000)
sys.exit(bad)
"""


def test_processes_and_threads_share_a_directory(tmp_path):
    command = [sys.executable, "-c", _WRITER, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [subprocess.Popen([*command, str(number)], env=environment) for number in (1, 2, 3)]
    cache = DiskCache(tmp_path, max_bytes=20_000)
    wrong: list[bytes] = []

    def read() -> None:
        while any(process.poll() is None for process in processes):
            for number in range(7):
                found = cache.get(f"k{number}")
                if found is not None and (len(set(found)) != 1 or len(found) != 4000):
                    wrong.append(found)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert not wrong
    cache.put("last", b"x" * 4000)
    assert cache.size() <= 20_000
