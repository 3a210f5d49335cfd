"""Runs StableHLO by others: the compiler XLA, and the reference interpreter, both of jaxlib."""

from __future__ import annotations

import functools
from importlib import import_module
from typing import Any

import numpy as np


@functools.cache
def _client():
    jax: Any = import_module("jax")
    jax.config.update("jax_enable_x64", True)
    return jax.devices("cpu")[0].client


def run_by_xla(text, arrays):
    """The results of the module's function `main`, compiled by XLA."""
    jax: Any = import_module("jax")
    xla_client: Any = import_module("jax._src.lib").xla_client
    devices = xla_client.DeviceList((_client().devices()[0],))
    made = _client().compile_and_load(text, devices, xla_client.CompileOptions())
    return [np.asarray(each) for each in made.execute([jax.device_put(x) for x in arrays])]


def run_interpreted(text, arrays):
    """The same by the interpreter, which takes a minute for what others do in a millisecond."""
    mlir: Any = import_module("jax._src.interpreters.mlir")
    ir: Any = import_module("jaxlib.mlir.ir")
    stablehlo: Any = import_module("jaxlib.mlir.dialects.stablehlo")
    with mlir.make_ir_context(), ir.Location.unknown():
        operands = [
            ir.DenseElementsAttr.get(
                np.ascontiguousarray(x), type=mlir.dtype_to_ir_type(x.dtype), shape=x.shape
            )
            for x in arrays
        ]
        return [np.array(each) for each in stablehlo.eval_module(ir.Module.parse(text), operands)]
