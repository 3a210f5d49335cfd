"""Exported training steps run by others: without slope, and some without Python."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import small_step
from array_checks import close
from iree_commands import command
from stablehlo_elsewhere import run_by_xla, run_interpreted

import slope

STEPS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The step in all three formats, each with its values; and what slope's losses are."""
    folder = tmp_path_factory.mktemp("exported")
    step, args = small_step.make()
    slope.manual_seed(7)
    slope.export(step, *args, path=folder / "step.onnx", values="safetensors")
    slope.export(step, *args, path=folder / "step.vmfb", values="npy")
    slope.export(step, *args, path=folder / "step.mlir", values="npz")
    losses = small_step.losses(step, args, STEPS)
    assert len(set(losses)) == STEPS
    (folder / "losses.json").write_text(json.dumps(losses))
    return folder


@pytest.fixture(scope="module")
def wanted(folder):
    return json.loads((folder / "losses.json").read_text())


ONNX_RUNTIME_ALONE = """
import sys
sys.modules["slope"] = None  # cannot be imported
import onnxruntime
from safetensors.numpy import load_file

session = onnxruntime.InferenceSession(sys.argv[1])
inputs = load_file(sys.argv[1] + ".safetensors")
names = [each.name for each in session.get_outputs()]
for _ in range(int(sys.argv[2])):
    outputs = dict(zip(names, session.run(names, inputs)))
    inputs |= {name[5:]: value for name, value in outputs.items() if name.startswith("next.")}
    print(outputs["loss"])
assert not [name for name in sys.modules if name.startswith("slope_")]
"""


def test_onnx_runtime_alone_trains(folder, wanted):
    run = [sys.executable, "-c", ONNX_RUNTIME_ALONE, str(folder / "step.onnx"), str(STEPS)]
    printed = subprocess.run(run, capture_output=True, text=True, check=True)
    assert not printed.stderr
    close([float(line) for line in printed.stdout.split()], wanted, 1e-5)


def train_by_iree(module, values, folder, *flags):
    """The losses of steps that IREE's own program runs, from .npy files to .npy files."""
    manifest = json.loads(module.with_name(f"{module.name}.json").read_text())
    work = folder / f"work{len(list(folder.iterdir()))}"
    shutil.copytree(values, work)
    inputs = [f"--input=@{work}/{each['name']}.npy" for each in manifest["inputs"]]
    outputs = [f"--output=@{work}/{each['name']}.npy" for each in manifest["outputs"]]
    run = [
        command("iree-run-module"),
        f"--module={module}",
        "--function=main",
        *flags,
        *inputs,
        *outputs,
    ]
    losses = []
    for _ in range(STEPS):
        subprocess.run(run, capture_output=True, check=True)
        for each in manifest["outputs"]:
            if "feeds" in each:
                (work / f"{each['name']}.npy").replace(work / f"{each['feeds']}.npy")
        losses.append(float(np.load(work / "loss.npy")))
    return losses


@pytest.mark.parametrize("device", ["local-sync", "local-task"])
def test_a_module_trains_without_python(folder, wanted, device, tmp_path):
    values = folder / "step.vmfb.values"
    losses = train_by_iree(folder / "step.vmfb", values, tmp_path, f"--device={device}")
    close(losses, wanted, 1e-5)


def test_stablehlo_compiled_by_irees_command_trains(folder, wanted, tmp_path):
    module = tmp_path / "alone.vmfb"
    compile_ = [command("iree-compile"), folder / "step.mlir", "-o", module]
    flags = ["--iree-input-demote-f64-to-f32=false", "--iree-hal-target-backends=llvm-cpu"]
    flags += ["--iree-llvmcpu-target-cpu=generic"]
    subprocess.run([*compile_, *flags], capture_output=True, check=True)
    shutil.copy(folder / "step.mlir.json", tmp_path / "alone.vmfb.json")
    losses = train_by_iree(module, folder / "step.vmfb.values", tmp_path)
    close(losses, wanted, 1e-5)


@pytest.mark.skipif(not find_spec("jaxlib"), reason="needs jaxlib")
@pytest.mark.parametrize("run", [run_by_xla, run_interpreted])
def test_stablehlo_trains_in_xla_and_in_the_interpreter(folder, wanted, run):
    text = (folder / "step.mlir").read_text()
    manifest = json.loads((folder / "step.mlir.json").read_text())
    values = dict(np.load(folder / "step.mlir.npz"))
    for loss in wanted:
        found = run(text, [values[each["name"]] for each in manifest["inputs"]])
        outputs = dict(zip((each["name"] for each in manifest["outputs"]), found, strict=True))
        values |= {name[5:]: value for name, value in outputs.items() if name[:5] == "next."}
        close(outputs["loss"], loss, 1e-5)


@pytest.mark.parametrize("suffix", [".mlir", ".vmfb"])
def test_they_are_called_with_pytrees(folder, wanted, suffix):
    _, args = small_step.make()
    exported = slope.load_exported(folder / f"step{suffix}")
    assert exported.checked
    close(small_step.losses(exported, args, STEPS), wanted, 1e-5)


def test_a_module_for_any_processor_and_one_for_a_gpu(tmp_path):
    x = slope.tensor([1.0, 2.0])
    for target in ("generic", "cuda:sm_86"):
        path = Path(tmp_path / "f.vmfb")
        exported = slope.export(lambda x: x * 2, x, path=path, options={"target": target})
        assert exported.checked or target != "generic"
        assert b"sm_86" in path.read_bytes() or target == "generic"


def test_constants_of_every_dtype_in_stablehlo(tmp_path):
    tensors = {
        "bits": slope.tensor([True, False, True]),
        "bytes": slope.tensor([1, 200, 3], dtype=slope.uint8),
        "long": slope.tensor([-1, 2**40, 3]),
        "half": slope.tensor([0.5, -2.0, 1e4], dtype=slope.float16),
        "brain": slope.tensor([0.5, -2.0, 1e30], dtype=slope.bfloat16),
        "wide": slope.tensor([0.1, float("inf"), -0.0], dtype=slope.float64),
        "one": slope.tensor([3.0]),
        "none": slope.zeros(0, 2),
    }
    exported = slope.export(
        lambda x: {name: slope.where(x > 0, each, each[:1]) if each.shape == (3,) else each + x[:1]
                   for name, each in tensors.items()},
        slope.tensor([1.0, -1.0, 1.0]),
        path=tmp_path / "f.mlir",
    )  # fmt: skip
    assert exported.checked
