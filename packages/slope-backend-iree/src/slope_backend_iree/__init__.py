"""The IREE backend of slope; :mod:`slope_backend_iree.plugin` is what slope loads."""
