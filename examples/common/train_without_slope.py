"""Train with an exported step, without slope: `python train_without_slope.py STEP BATCHES LOSSES`.

This is the whole host: it needs NumPy and, for a file of ONNX, ONNX Runtime; a compiled module runs
in IREE's own program, `iree-run-module`. A host in another language would do the same.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

Arrays = dict[str, np.ndarray]


def onnx_runner(step: str) -> Callable[[Arrays], Arrays]:
    """From inputs to outputs by name, by ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(step, options)
    names = [each.name for each in session.get_outputs()]

    def run(inputs: Arrays) -> Arrays:
        results = [np.asarray(each) for each in session.run(names, inputs)]
        return dict(zip(names, results, strict=True))

    return run


def iree_runner(step: str) -> Callable[[Arrays], Arrays]:
    """The same by a native program that reads and writes .npy files."""
    manifest = json.loads(Path(f"{step}.json").read_text())
    spec = find_spec("iree._runtime_libs")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    program = shutil.which("iree-run-module", path=folders[0] if folders else None)
    work = Path(tempfile.mkdtemp())
    files = {each["name"]: work / f"{each['name']}.npy"
             for each in (*manifest["inputs"], *manifest["outputs"])}  # fmt: skip
    command = [str(program), f"--module={step}", "--function=main", "--device=local-sync"]
    command += [f"--input=@{files[each['name']]}" for each in manifest["inputs"]]
    command += [f"--output=@{files[each['name']]}" for each in manifest["outputs"]]

    def run(inputs: Arrays) -> Arrays:
        for name, array in inputs.items():
            np.save(files[name], array)
        subprocess.run(command, check=True, capture_output=True)
        return {each["name"]: np.load(files[each["name"]]) for each in manifest["outputs"]}

    return run


def main() -> None:
    """Train on all batches, and write the losses."""
    step, batches, losses = sys.argv[1:]
    run = onnx_runner(step) if step.endswith(".onnx") else iree_runner(step)
    inputs = dict(np.load(f"{step}.npz"))  # what training begins with
    data = np.load(batches)
    found = []
    for x, y in zip(data["x"], data["y"], strict=True):
        outputs = run({**inputs, "x": x, "y": y})
        found.append(float(outputs["loss"]))
        for name, value in outputs.items():
            if name.startswith("next."):
                inputs[name.removeprefix("next.")] = value
    np.save(losses, np.array(found))
    assert not [name for name in sys.modules if name.startswith("slope")]


if __name__ == "__main__":
    main()
