"""The NumPy backend of slope.

:mod:`slope_backend_numpy.plugin` is what slope loads. How lowering rules are written, also by
plugins, says :mod:`slope_backend_numpy.context`.
"""
