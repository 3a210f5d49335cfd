"""What slope.export and slope.load_exported refuse, and what they say; formats of plugins."""

from __future__ import annotations

import json

import numpy as np
import pytest
import small_step

import slope
from slope import nn
from slope.errors import (
    ArgumentError,
    BackendError,
    DTypeError,
    ExportError,
    PluginError,
    ShapeError,
    TreeError,
    UnsupportedOperatorError,
)
from slope.extend import (
    CPU,
    Backend,
    BackendSpec,
    Executable,
    Literal,
    Operator,
    Sample,
    hookimpl,
    register_plugin,
    unregister_plugin,
)

X = slope.tensor([1.0, 2.0])


def double(x):
    return x * 2


@pytest.fixture
def registered():
    """Registers plugins by name, and takes them out again."""
    names = []

    def register(name, **hooks):
        plugin = type(
            name, (), {hook: staticmethod(hookimpl(each)) for hook, each in hooks.items()}
        )
        plugin.slope_api_version = 1
        names.append(name)
        return register_plugin(plugin, name)

    yield register
    for name in names:
        unregister_plugin(name)


# --- formats


@pytest.mark.parametrize("path", ["f.tflite", "f"])
def test_an_unknown_suffix(path):
    listed = r"\.mlir \(StableHLO; backend iree\), \.onnx \(ONNX; backend onnxruntime\), \.vmfb"
    with pytest.raises(ExportError, match=f"the suffix says which format to write.*{listed}"):
        slope.export(double, X, path=path)


def test_a_format_whose_package_is_missing(monkeypatch, tmp_path):
    from slope.plugins import formats

    monkeypatch.setattr(formats, "_offers", dict)
    with pytest.raises(ExportError, match=r'ONNX files.*pip install "slope-backend-onnx\[cpu\]"'):
        slope.export(double, X, path=tmp_path / "f.onnx")
    with pytest.raises(ExportError, match=r"\.mlir \(StableHLO; pip install slope-backend-iree\)"):
        slope.export(double, X, path=tmp_path / "f.tflite")


class Listing(Executable):
    def __init__(self, text):
        self.factor = float(text)

    def __call__(self, handles):
        return [handle * np.float32(self.factor) for handle in handles]


class Textual(Backend):
    """Writes programs that multiply by a number as that number."""

    name = "textual"

    def __init__(self):
        super().__init__()
        self.add_lowerings({"mul": str})

    def from_host(self, array, device):
        return array

    def to_host(self, handle):
        return handle

    def export(self, program, path):
        program.refuse_options(("wrong", "fail", "unreadable"), ".txt")
        if "fail" in program.options:
            raise KeyError("fail")
        if "unreadable" in program.options:
            path.write_text("unreadable")
            return CPU
        (instr,) = program.program.instrs
        assert isinstance(instr.inputs[1], Literal)
        assert (program.inputs, program.outputs, program.constants) == (("x",), ("result",), ())
        path.write_text(str(instr.inputs[1].value + program.options.get("wrong", 0)))
        path.with_name(f"{path.name}.more").write_text("more")
        return CPU

    def open_export(self, path, inputs, outputs, device):
        if path.read_text() == "unreadable":
            raise ExportError("it is unreadable.")
        return Listing(path.read_text())


@pytest.fixture
def textual(registered, monkeypatch):
    import sys

    monkeypatch.setattr(sys.modules[__name__], "Textual", Textual, raising=False)
    monkeypatch.setitem(sys.modules, "textual_formats", sys.modules[__name__])
    spec = BackendSpec(
        name="textual", target="textual_formats:Textual", formats=(".txt",), description="numbers"
    )
    registered("textual", slope_backends=lambda: [spec])


def test_a_plugins_backend_adds_a_format(textual, tmp_path):
    exported = slope.export(double, X, path=tmp_path / "f.txt")
    assert (tmp_path / "f.txt").read_text() == "2.0"
    assert {each.name for each in tmp_path.iterdir()} == {"f.txt", "f.txt.json", "f.txt.more"}
    assert exported(X).tolist() == [2.0, 4.0]
    assert exported.checked
    with pytest.raises(ExportError, match=r"\.txt \(backend textual\)"):
        slope.export(double, X, path="f.tflite")


def test_a_file_that_computes_something_else_is_not_left(textual, tmp_path):
    path = tmp_path / "f.txt"
    wrong = {"wrong": 0.1}
    with pytest.raises(ExportError, match=r"does not compute what double does: in its output 'res"):
        slope.export(double, X, path=path, options=wrong)
    assert not list(tmp_path.iterdir())
    assert not slope.export(double, X, path=path, options=wrong, check=False).checked
    slope.export(double, X, path=path, options=wrong, check=0.2)
    before = path.read_text()
    with pytest.raises(ExportError, match="No file was left"):  # nor is the old one lost
        slope.export(double, X, path=path, options={"wrong": 1.0})
    assert path.read_text() == before


def test_a_file_that_cannot_be_run_is_not_left(textual, tmp_path):
    unreadable = {"unreadable": True}
    match = r"f\.txt cannot be checked: it is unreadable\.\nNo file was left\. check=False writes"
    with pytest.raises(ExportError, match=match):
        slope.export(double, X, path=tmp_path / "f.txt", options=unreadable)
    assert not list(tmp_path.iterdir())
    slope.export(double, X, path=tmp_path / "f.txt", options=unreadable, check=False)


def test_a_backend_that_fails_is_named(textual, tmp_path):
    with pytest.raises(BackendError, match=r"textual.*failed in export, of 'double': KeyError"):
        slope.export(double, X, path=tmp_path / "f.txt", options={"fail": 1})
    with pytest.raises(
        UnsupportedOperatorError, match=r"export to \.txt: .*'textual' has no lower"
    ):
        slope.export(lambda x: x + 1, X, path=tmp_path / "f.txt")


def test_two_plugins_of_one_format(registered, tmp_path):
    spec = BackendSpec(name="second", target="nowhere:Second", formats=(".onnx",))
    registered("second", slope_backends=lambda: [spec])
    with pytest.raises(PluginError, match=r"the format \.onnx comes from two plugins"):
        slope.export(double, X, path=tmp_path / "f.onnx")


def test_formats_are_suffixes():
    with pytest.raises(PluginError, match=r"write a tuple of suffixes"):
        BackendSpec(name="b", target="m:C", formats="onnx")  # pyright: ignore[reportArgumentType]
    with pytest.raises(PluginError, match=r"write a tuple of suffixes"):
        BackendSpec(name="b", target="m:C", formats=("onnx",))


# --- programs


class Shout(Operator):
    """The operand, told to this process."""

    name = "shout"
    effect = True

    def infer(self, x):
        return x

    def samples(self):
        yield Sample(([1.0],))


def test_effects_cannot_be_exported(tmp_path):
    shout = Shout()

    def loud(x):
        return slope.fori_loop(0, 2, lambda _, x: shout(x), x)

    match = r"'shout', at .*test_export_refused.* has an effect in this"
    with pytest.raises(ExportError, match=match):
        slope.export(loud, X, path=tmp_path / "f.onnx")
    assert not list(tmp_path.iterdir())


def test_operators_of_one_runtime_alone_are_refused(tmp_path, monkeypatch):
    rules = slope.backend("onnxruntime").lowerings
    monkeypatch.setitem(rules, "tanh", lambda cx, x: cx.op("Odd", cx.full(x), domain="com.odd"))
    with pytest.raises(ExportError, match=r"'Odd' of the domain 'com.odd'.*cx\.native is False"):
        slope.export(lambda x: slope.tanh(x) + 0.5, X, path=tmp_path / "f.onnx")
    rules = slope.backend("iree").lowerings
    odd = lambda ctx, x: ctx.emit(f"odd.tanh {x} : {x.mlir}", x.type)  # noqa: E731  # a rule
    monkeypatch.setitem(rules, "tanh", odd)
    with pytest.raises(ExportError, match=r"rule of 'tanh'.*writes 'odd\.tanh', which is not Sta"):
        slope.export(lambda x: slope.tanh(x) + 0.25, X, path=tmp_path / "f.mlir")


def test_a_program_that_computes_nothing(tmp_path):
    def same(x):
        return x

    with pytest.raises(ExportError, match="same computes nothing"):
        slope.export(same, X, path=tmp_path / "f.onnx")


# --- arguments of export


def test_settings_are_checked(tmp_path):
    def refused(match: str, kind: type[Exception] = ArgumentError, **settings):
        with pytest.raises(kind, match=match):
            slope.export(double, X, **{"path": tmp_path / "f.onnx", **settings})

    refused("path must be a string or a path.*and is 3", path=3)
    refused("values must be one of 'safetensors', 'npz', 'npy'", values="csv")
    refused("check must be a bool or a tolerance, and is 'no'", check="no")
    refused("state= names 'y', and the arguments are x", state="y")
    refused("constants= names 'y', and the arguments are x", constants=("y",))
    refused("results= names 2 results, and double returns 1", results=("a", "b"))
    refused("format .onnx has no options 'speed'; it has 'external_data'", ExportError,
            options={"speed": 1})  # fmt: skip
    refused("no options 'x'; it has none", ExportError, path=tmp_path / "f.mlir", options={"x": 1})
    refused("target must be one of 'host', 'generic', 'cuda'.*and is 'tpu'", ExportError,
            path=tmp_path / "f.vmfb", options={"target": "tpu"})  # fmt: skip
    with pytest.raises(ExportError, match="state= names 'x', and no result has its structure"):
        slope.export(lambda x: x.sum(), X, path=tmp_path / "f.onnx", state="x")
    with pytest.raises(ArgumentError, match="takes a function, and got a int"):
        slope.export(3, X, path=tmp_path / "f.onnx")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ArgumentError, match="inside a function that is traced"):
        slope.jit(lambda x: slope.export(double, x, path=tmp_path / "f.onnx"))(X)
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in ("file", "nowhere"):
        with pytest.raises(ExportError, match=r"cannot be written: .*Make the folder, or choose"):
            slope.export(double, X, path=tmp_path / folder / "f.onnx")
    (tmp_path / "g.onnx").mkdir()
    with pytest.raises(ExportError, match=r"g\.onnx' cannot be written"):
        slope.export(double, X, path=tmp_path / "g.onnx")


# --- loading


@pytest.fixture
def exported(tmp_path):
    step, args = small_step.make()
    return slope.export(step, *args, path=tmp_path / "step.onnx"), args


def test_arguments_of_a_loaded_file_are_checked(exported):
    step, (model, optimizer, x, y) = exported
    with pytest.raises(
        ArgumentError, match="takes the arguments model, optimizer, x, y, and got 3"
    ):
        step(model, optimizer, x)
    with pytest.raises(ArgumentError, match="and got 4 by position and z"):
        step(model, optimizer, x, y, z=1)
    with pytest.raises(
        ShapeError, match=r"the input 'x' is float32\[6, 12\], and got float32\[5, 12"
    ):
        step(model, optimizer, x[:5], y)
    with pytest.raises(DTypeError, match=r"the input 'y' is int64\[6\], and got int32\[6\]"):
        step(model, optimizer, x, y.to(slope.int32))
    with pytest.raises(TreeError, match=r"the argument 'model' has no leaf 'model\.3\.bias'"):
        step(nn.Sequential(model[0], model[1], model[2]), optimizer, x, y)
    with pytest.raises(TreeError, match="the argument 'x' has no leaf 'x'; it was exp"):
        step(model, optimizer, (x, x), y)
    with pytest.raises(TreeError, match=r"'model' has a leaf too many, 'model\.4\.bias'"):
        step(nn.Sequential(*model, nn.Linear(5, 5)), optimizer, x, y)
    with pytest.raises(ArgumentError, match=r"the input 'x' is float32.*and got a str"):
        step(model, optimizer, "x", y)


def test_inputs_by_name_are_checked(tmp_path):
    step = slope.export(double, X, path=tmp_path / "f.onnx")
    with pytest.raises(ArgumentError, match="the input 'x' is missing; the inputs are x"):
        step.run({})
    with pytest.raises(ArgumentError, match="the input 'y' is unknown; the inputs are x"):
        step.run({"x": X, "y": X})
    with pytest.raises(
        ExportError, match="without the values of its inputs; export it with values"
    ):
        step.values()


def test_files_that_cannot_be_loaded(tmp_path):
    path = tmp_path / "f.onnx"
    with pytest.raises(ExportError, match=r"there is no file '.*f\.onnx'"):
        slope.load_exported(path)
    slope.export(double, X, path=path)
    manifest = tmp_path / "f.onnx.json"
    text = manifest.read_text()
    path.write_bytes(b"nonsense")
    with pytest.raises(ExportError, match=r"'f\.onnx' cannot be run: ONNX Runtime refused"):
        slope.load_exported(path)(X)
    manifest.write_text(json.dumps({**json.loads(text), "slope_export": 99}))
    with pytest.raises(ExportError, match="manifest of version 99, and this slope reads version 1"):
        slope.load_exported(path)
    manifest.write_text('{"slope_export": 1}')
    with pytest.raises(ExportError, match="is damaged: KeyError"):
        slope.load_exported(path)
    manifest.write_text("nonsense")
    with pytest.raises(ExportError, match="is no JSON"):
        slope.load_exported(path)
    manifest.unlink()
    with pytest.raises(ExportError, match=r"has no manifest: No such file.*keep them together"):
        slope.load_exported(path)
    (tmp_path / "f.vmfb").write_bytes(b"nonsense")
    (tmp_path / "f.vmfb.json").write_text(text)
    with pytest.raises(ExportError, match=r"f\.vmfb' cannot be run on cpu"):
        slope.load_exported(tmp_path / "f.vmfb")(X)
