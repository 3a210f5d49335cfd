"""Saving and loading: exact round trips, atomic writes, hostile files, shards, resuming."""

import importlib
import json
import os
import subprocess
import sys
import zipfile
from typing import Any

import numpy as np
import pytest

import slope
from slope import errors, nn

pytestmark = pytest.mark.usefixtures("on_numpy")


def net():
    slope.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.2), nn.Linear(4, 2))


def same(one, other):
    first, structure = slope.tree_flatten(one)
    second, again = slope.tree_flatten(other)
    assert structure == again
    for a, b in zip(first, second, strict=True):
        if isinstance(a, slope.Tensor):
            a, b = np.asarray(a.numpy()), np.asarray(b.numpy())
            assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        else:
            assert type(a) is type(b)
            assert repr(a) == repr(b)


def test_a_tree_comes_back_exactly(tmp_path):
    dtypes = [slope.bool_, slope.int8, slope.uint16, slope.int64, slope.float16, slope.bfloat16]
    tree = {
        "tensors": [slope.arange(6).reshape(2, 3).astype(dtype) for dtype in dtypes],
        "odd": (slope.zeros(0, 3), slope.tensor([float("nan"), -0.0, float("inf")])),
        "a.b": {"c": slope.ones(1)},
        "a": {"b.c": slope.zeros(1)},
        "numbers": [1, 2**70, 0.1, float("nan"), float("-inf"), True, None, "text"],
        "scalar": slope.tensor(2.5, dtype=slope.float64),
    }
    nn.save(tmp_path / "tree", tree)
    same(nn.load(tmp_path / "tree"), tree)
    same(nn.load(tmp_path / "tree", like=tree), tree)
    assert [each.name for each in tmp_path.iterdir()] == ["tree"]


def test_the_facade_shows_the_same_functions():
    assert slope.save is nn.save
    assert slope.load is nn.load


def test_arrays_and_nodes(tmp_path):
    model: Any = net()
    nn.save(tmp_path / "f", {"model": model, "x": np.arange(3)})
    plain = nn.load(tmp_path / "f")
    np.testing.assert_array_equal(plain["x"].numpy(), np.arange(3))
    np.testing.assert_array_equal(plain["model"]["0"]["weight"].numpy(), model[0].weight.numpy())


def test_model_save_and_load(tmp_path):
    model: Any = net()
    model.save(tmp_path / "model.safetensors")
    slope.manual_seed(5)
    other: Any = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.2), nn.Linear(4, 2))
    assert other.load(tmp_path / "model.safetensors") is other
    same(other, model)
    assert list(nn.read_safetensors(tmp_path)) == list(model.state_dict())
    with pytest.raises(errors.TreeError, match=r"missing: weight, bias; unexpected: 0\.weight"):
        nn.Linear(3, 4).load(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_saved_files_have_the_permissions_of_other_new_files(tmp_path):
    (tmp_path / "other").touch()
    nn.save(tmp_path / "saved", {"x": np.arange(3)})
    assert (tmp_path / "saved").stat().st_mode == (tmp_path / "other").stat().st_mode


def step(model, optimizer, x, y):
    def loss_of(m):
        return slope.cross_entropy(m(x), y)

    loss, grads = slope.value_and_grad(loss_of)(model)
    return *optimizer(model, grads), loss


@pytest.mark.parametrize("name", ["numpy", "onnxruntime", "iree"])
def test_training_resumes_bit_equal(tmp_path, name):
    random = np.random.default_rng(0)
    xs = random.standard_normal((8, 5, 3)).astype(np.float32)
    ys = random.integers(0, 2, (8, 5))

    def run(state, until, path=None):
        jitted = slope.jit(step)
        slope.default_generator.key = state["key"]
        model, optimizer, losses = state["model"], state["optimizer"], []
        for position in range(state["position"], until):
            model, optimizer, loss = jitted(model, optimizer, xs[position], ys[position])
            losses.append(loss.item())
            if path is not None and position == 3:
                key = slope.default_generator.key
                at = {"model": model, "optimizer": optimizer, "position": position + 1, "key": key}
                nn.save(path, at)
        return model, optimizer, losses

    def fresh(seed):
        slope.manual_seed(seed)
        model = net()
        schedule = nn.CosineSchedule(0.05, 10, warmup=3)
        optimizer = nn.AdamW(model, lr=schedule, weight_decay=0.1)
        key = slope.random.key(seed)
        return {"model": model, "optimizer": optimizer, "position": 0, "key": key}

    with slope.use_backend(name):
        whole = run(fresh(1), 8, tmp_path / "checkpoint")
        resumed = run(nn.load(tmp_path / "checkpoint", like=fresh(2)), 8)
        assert resumed[2] == whole[2][4:]
        same(resumed[0], whole[0])
        same(resumed[1], whole[1])


def test_another_tree_is_told_apart(tmp_path):
    nn.save(tmp_path / "f", {"a": slope.ones(2), "b": [1, 2.0], "c": nn.Linear(2, 2)})
    like = {"a": slope.ones(3), "b": (1, 2.0), "d": 1, "c": nn.Dropout()}
    with pytest.raises(errors.TreeError, match="another tree") as told:
        nn.load(tmp_path / "f", like=like)
    for part in (
        "a is float32[2] instead of float32[3]",
        "b is a list instead of a tuple",
        "c is a Linear instead of a Dropout",
        "d is missing",
    ):
        assert part in str(told.value)
    with pytest.raises(errors.TreeError, match="b is unexpected"):
        nn.load(tmp_path / "f", like={"a": slope.ones(2)})


@pytest.mark.parametrize(
    ("tree", "told"),
    [({"f": print}, "cannot save 'f'"), ({3: 1.0}, "key 3 is no text"), (1j, "a complex")],
)
def test_what_cannot_be_saved(tmp_path, tree, told):
    with pytest.raises(errors.ArgumentError, match=told):
        nn.save(tmp_path / "f", tree)
    assert not list(tmp_path.iterdir())


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "f"
    nn.save(path, {"x": slope.arange(4), "y": 3})
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(nn.CheckpointError, match="truncated"):
            nn.load(path)


def test_a_file_of_torch_save_is_told(tmp_path):
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w") as archive:  # what torch.save writes
        archive.writestr("model/data.pkl", b"\x80\x02}q\x00.")
    with pytest.raises(nn.CheckpointError, match=r"of torch\.save: with PyTorch, model\.load"):
        nn.Linear(2, 2).load(path)


def file_of(header, data=b"\0" * 16, length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(4,), offsets=(0, 16)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


HOSTILE = {
    "a length beyond the file": file_of({"x": entry()}, length=10**6),
    "a huge length": file_of({"x": entry()}, length=2**64 - 1),
    "a length that is too short": file_of({"x": entry()}, length=5),
    "no JSON": file_of(b"{nonsense"),
    "overlaps": file_of({"x": entry(), "y": entry(shape=(2,), offsets=(8, 16))}),
    "a gap": file_of({"x": entry(shape=(1,), offsets=(0, 4)), "y": entry("F32", (2,), (8, 16))}),
    "offsets beyond the end": file_of({"x": entry(shape=(400,), offsets=(0, 1600))}),
    "reversed offsets": file_of({"x": entry(offsets=(16, 0))}),
    "a negative offset": file_of({"x": entry(offsets=(-16, 0))}),
    "a shape of another size": file_of({"x": entry(shape=(5,))}),
    "a negative dimension": file_of({"x": entry(shape=(-4,))}),
    "a shape that overflows": file_of({"x": entry(shape=(2**62, 2**62))}),
    "NaN": file_of(b'{"x": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 16]}}'),
    "a dtype of no such name": file_of({"x": entry("F33")}),
    "bytes that are left over": file_of({"x": entry()}, data=b"\0" * 20),
    "a header that is a list": file_of([1, 2]),
    "an empty file": b"",
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_files_are_refused(tmp_path, content):
    path = tmp_path / "f.safetensors"
    path.write_bytes(content)
    with pytest.raises(nn.CheckpointError, match="no whole safetensors file"):
        nn.read_safetensors(path)


@pytest.mark.parametrize(
    "tree",
    [
        b"nonsense",
        b"[]",
        {"version": 1},
        {"version": 1, "tree": {"tensor": "absent"}},
        {"version": 1, "tree": {"exec": "x"}},
        {"version": 1, "tree": {"dict": [1]}},
        {"version": 1, "tree": {"list": 3}},
        {"version": 1, "tree": {"int": "x"}},
        {"version": 1, "tree": {"value": [1]}},
        {"version": 1, "tree": {"node": "Linear"}},
        {"version": 1, "tree": {}},
        {"version": 2, "tree": {"value": None}},
        b'{"version": 1, "tree": ' + b'{"list": [' * 600 + b"]}" * 600 + b"}",
        b'{"version": 1, "tree": ' + b'{"list": [' * 90000 + b"]}" * 90000 + b"}",
    ],
    ids=lambda tree: str(tree)[:40],
)
def test_hostile_structures_are_refused(tmp_path, tree):
    text = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    nn.write_safetensors(tmp_path / "f", {"x": slope.ones(1)}, {"slope.tree": text.decode()})
    with pytest.raises(nn.CheckpointError, match=r"structure of the tree|of version 2"):
        nn.load(tmp_path / "f")


def test_dtypes_that_slope_lacks_and_bad_bools(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(file_of({"x": entry("F8_E4M3", (16,))}))
    with pytest.raises(nn.CheckpointError, match="'x' is of dtype F8_E4M3"):
        nn.read_safetensors(path)
    path.write_bytes(file_of({"x": entry("BOOL", (16,))}, data=b"\2" * 16))
    with pytest.raises(nn.CheckpointError, match="no bools"):
        nn.read_safetensors(path)
    nn.write_safetensors(path, {"x": slope.ones(1)})
    with pytest.raises(nn.CheckpointError, match="tensors and no tree"):
        nn.load(path)
    with pytest.raises(FileNotFoundError, match="no file"):
        nn.load(tmp_path / "absent")
    with pytest.raises(errors.ArgumentError, match="cannot save 'x': it is complex64"):
        nn.write_safetensors(path, {"x": np.zeros(1, np.complex64)})


def test_shards(tmp_path):
    state = {f"layer.{n}": slope.full((4,), float(n)) for n in range(5)}
    nn.write_sharded(tmp_path, state, shard_bytes=32)
    names = sorted(each.name for each in tmp_path.iterdir())
    assert names == [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)] + [
        "model.safetensors.index.json"
    ]
    same(nn.read_safetensors(tmp_path), state)
    (tmp_path / names[1]).unlink()
    with pytest.raises(FileNotFoundError, match="00002-of-00003"):
        nn.read_safetensors(tmp_path)


@pytest.mark.parametrize(
    "shard", ["../secret.safetensors", "/etc/passwd", "a/b", "..", "C:x", "a\\b", "", 3]
)
def test_shards_outside_of_the_folder_are_refused(tmp_path, shard):
    folder = tmp_path / "model"
    folder.mkdir()
    nn.write_safetensors(tmp_path / "secret.safetensors", {"x": slope.ones(1)})
    index = {"weight_map": {"x": shard}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(nn.CheckpointError, match="plain file names"):
        nn.read_safetensors(folder)


def test_broken_indices(tmp_path):
    index = tmp_path / "model.safetensors.index.json"
    for text in ("nonsense", "[]", "{}", '{"weight_map": [1]}', '{"weight_map": {"x": []}}'):
        index.write_text(text)
        with pytest.raises(nn.CheckpointError, match="no index of shards"):
            nn.read_safetensors(tmp_path)
    nn.write_safetensors(tmp_path / "s", {"x": slope.ones(1)})
    index.write_text('{"weight_map": {"y": "s"}}')
    with pytest.raises(nn.CheckpointError, match="lacks y"):
        nn.read_safetensors(tmp_path)


def test_a_write_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "f"
    nn.save(path, {"x": slope.ones(2)})
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        nn.save(path, {"x": slope.zeros(2)})
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["f"]


def test_a_killed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "f"
    nn.write_safetensors(path, {"x": np.zeros(3)})
    before = path.read_bytes()
    script = (
        "import os, sys, numpy as np\n"
        "from slope import nn\n"
        "os.fsync = lambda *_: os.kill(os.getpid(), 9)\n"
        "nn.write_safetensors(sys.argv[1], {'x': np.ones(10000)})\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode != 0
    assert path.read_bytes() == before


def test_names_of_pytorch():
    state = {
        "block.attn.in_proj_weight": np.arange(6.0).reshape(6, 1),
        "in_proj_bias": np.arange(3),
        "norm.num_batches_tracked": np.array(3),
        "norm.weight": np.ones(2),
        "k_proj_weight": np.ones((2, 2)),
    }
    found = nn.from_torch(state)
    assert list(found) == [
        "block.attn.q_proj.weight",
        "block.attn.k_proj.weight",
        "block.attn.v_proj.weight",
        "q_proj.bias",
        "k_proj.bias",
        "v_proj.bias",
        "norm.weight",
        "k_proj.weight",
    ]
    assert found["block.attn.k_proj.weight"].tolist() == [[2.0], [3.0]]
    assert found["v_proj.bias"].tolist() == [2]


def test_names_are_mapped():
    state = {"model.layers.0.w": 1, "model.layers.1.w": 2, "model.rotary.f": 3}
    rules = [(r"^model\.", ""), (r"layers\.(\d+)", r"blocks.\1"), (r"rotary", None)]
    assert nn.rename(state, rules) == {"blocks.0.w": 1, "blocks.1.w": 2}
    assert nn.rename({"a": 2}, [], lambda name, t: t * 3) == {"a": 6}
    with pytest.raises(errors.TreeError, match="both become 'w'"):
        nn.rename({"a.w": 1, "b.w": 2}, [(r"^.\.", "")])
    with pytest.raises(errors.ArgumentError, match="no regular expression"):
        nn.rename({"a": 1}, [("(", "")])


def test_rewriting_shards_keeps_the_old_model_until_the_index_is_replaced(tmp_path, monkeypatch):
    old = {name: slope.full((10,), 1.0) for name in "abc"}
    new = {name: slope.full((10,), 2.0) for name in "abc"}
    nn.write_sharded(tmp_path, old, shard_bytes=40)
    written = []

    def killed(path, tensors, metadata=None):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path.name)
        write(path, tensors, metadata)

    files = importlib.import_module("slope_nn._saving._files")
    write = files.write_safetensors
    monkeypatch.setattr(files, "write_safetensors", killed)
    with pytest.raises(KeyboardInterrupt):
        nn.write_sharded(tmp_path, new, shard_bytes=40)
    assert [t.numpy()[0] for t in nn.read_safetensors(tmp_path).values()] == [1, 1, 1]
    monkeypatch.undo()
    for value in (new, old):  # again and again
        nn.write_sharded(tmp_path, value, shard_bytes=40)
        found = nn.read_safetensors(tmp_path)
        assert [t.numpy()[0] for t in found.values()] == [value["a"].numpy()[0]] * 3
    nn.write_sharded(tmp_path, {"a": slope.ones(2)})
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["model-00001-of-00001.safetensors", "model.safetensors.index.json"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere to write m\.safetensors"):
        nn.Linear(1, 1).save(tmp_path / "nowhere" / "m.safetensors")
    with pytest.raises(IsADirectoryError, match="is a folder, and a file is to be written there"):
        nn.Linear(1, 1).save(tmp_path)
    assert list(tmp_path.iterdir()) == []
