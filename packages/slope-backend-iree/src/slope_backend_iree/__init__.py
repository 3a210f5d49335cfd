"""The IREE backend of slope.

:mod:`slope_backend_iree.plugin` is what slope loads. How lowering rules are written, also by
plugins, says :mod:`slope_backend_iree.lower.context`.
"""
