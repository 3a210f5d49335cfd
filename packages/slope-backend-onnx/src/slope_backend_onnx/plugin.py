"""What slope-backend-onnx tells slope: its backend. Imports nothing heavy."""

from __future__ import annotations

from slope.extend import BackendSpec, hookimpl

slope_api_version = 1


@hookimpl
def slope_backends() -> list[BackendSpec]:
    """The ONNX Runtime backend."""
    return [
        BackendSpec(
            name="onnxruntime",
            target="slope_backend_onnx.backend:OnnxRuntimeBackend",
            description="ONNX graphs, run by ONNX Runtime",
            aliases=("onnx",),
            priority=20,
            # Two wheels hold the runtime, and overwrite each other: the user has to choose.
            formats=(".onnx",),
            requirement='pip install "slope-backend-onnx[cpu]" (or [gpu], for CUDA)',
        )
    ]
