"""The ONNX Runtime backend of slope; :mod:`slope_backend_onnx.plugin` is what slope loads."""
