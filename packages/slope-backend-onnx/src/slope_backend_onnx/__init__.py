"""The ONNX Runtime backend of slope.

:mod:`slope_backend_onnx.plugin` is what slope loads. How lowering rules are written, also by
plugins, says :mod:`slope_backend_onnx.lower.context`.
"""
