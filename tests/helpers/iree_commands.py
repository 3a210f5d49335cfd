"""Where the programs are that IREE's wheels bring along."""

import shutil
from importlib.util import find_spec

_FOLDERS = {
    "iree-run-module": "iree._runtime_libs",
    "iree-compile": "iree.compiler._mlir_libs",
}


def command(name):
    """The path of a native program, which no Python stands in front of."""
    spec = find_spec(_FOLDERS[name])
    assert spec is not None
    folders = spec.submodule_search_locations
    assert folders is not None
    found = shutil.which(name, path=next(iter(folders)))
    assert found is not None
    return found
