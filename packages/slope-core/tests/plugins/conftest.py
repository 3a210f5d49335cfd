"""Plugins as throwaway distributions: a module and a dist-info folder on the path, as pip makes.

What concerns the manager alone runs here, on a fresh manager; what concerns the process's one
selection of a backend runs in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from slope.plugins.loading import Plugin
from slope.plugins.manager import PluginManager

BACKEND = """
from slope.extend import Backend, BackendSpec, hookimpl
slope_api_version = 1

@hookimpl
def slope_backends():
    return [BackendSpec(name="{name}", target="{module}_impl:Made", aliases={aliases},
                        priority={priority}, requirement="pip install {name}-runtime")]
"""

MADE = """
from slope.extend import Backend

class Made(Backend):
    name = "{name}"

    def version(self):
        return "{name} 9.9"

    def __init__(self):
        super().__init__()
        self.lowerings = {{"own": len}}
"""

OPERATORS = """
from slope.extend import Operator, OperatorSpec, hookimpl
slope_api_version = 1

@hookimpl
def slope_operators():
    return [OperatorSpec(name="{name}", operator="{module}_ops:op", function="{module}_ops:call",
                         method=True)]
"""

OPS = """
from slope.extend import Operator

class Twice(Operator):
    name = "{name}"

    def expand(self, x):
        return x

op = Twice()

def call(x, times=2):
    return (type(x).__name__, "{module}", times)
"""

# Those that happen to be installed where the tests run take no part.
INSTALLED = ",".join(sorted({e.dist.name for e in entry_points(group="slope") if e.dist}))


class Site:
    """A folder of throwaway distributions.

    Class attributes:
        header: what every plugin's module begins with.
        made: the source of a backend's class, to be formatted with its name.
        installed: the distributions that happen to be installed, which take no part.
    """

    header = "from slope.extend import hookimpl\nslope_api_version = 1\n"
    made = MADE
    installed = INSTALLED

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modules: list[str] = []

    def add(
        self,
        distribution: str,
        entries: dict[str, str],
        files: dict[str, str],
        version: str = "1.2",
    ) -> None:
        """Install a distribution.

        Args:
            distribution: its name.
            entries: entry-point name to module.
            files: module name to source.
            version: its version.
        """
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
        (info / "METADATA").write_text(metadata)
        lines = [f"{name} = {module}" for name, module in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(["[slope]", *lines]) + "\n")
        for module, source in files.items():
            (self.folder / f"{module}.py").write_text(textwrap.dedent(source))
            self.modules.append(module)

    def add_backend(
        self, name: str, priority: int = 0, made: str | None = None, **options: str
    ) -> None:
        """Install a backend as distribution ``dist-NAME``, or ``distribution``."""
        distribution = options.get("distribution", f"dist-{name}")
        module = distribution.replace("-", "_")
        plugin = BACKEND.format(
            name=name, module=module, priority=priority, aliases=options.get("aliases", "()")
        )
        files = {module: plugin, f"{module}_impl": made or MADE.format(name=name)}
        self.add(distribution, {options.get("entry", name): module}, files)

    def add_operator(self, name: str, distribution: str) -> None:
        """Install an operator, with its function and method."""
        module = distribution.replace("-", "_")
        parts = {"": OPERATORS, "_ops": OPS}
        files = {module + tail: t.format(name=name, module=module) for tail, t in parts.items()}
        self.add(distribution, {module: module}, files)

    def found(self, manager: PluginManager | None = None) -> list[Plugin]:
        """The throwaway plugins, in load order."""
        plugins = (manager or PluginManager()).snapshot().plugins
        return [plugin for plugin in plugins if plugin.distribution not in INSTALLED.split(",")]

    def find(self, name: str) -> Plugin:
        """The throwaway plugin of that name."""
        return next(plugin for plugin in self.found() if plugin.name == name)

    def run(self, code: str, **env: str) -> str:
        """What a fresh Python that sees the distributions prints; its errors, too."""
        known = {k: v for k, v in os.environ.items() if not k.startswith("SLOPE_")}
        path = os.pathsep.join([str(self.folder), *filter(None, sys.path)])
        env = {"SLOPE_DISABLE_PLUGINS": INSTALLED, **known, **env, "PYTHONPATH": path}
        command = [sys.executable, "-W", "error", "-c", PRELUDE + textwrap.dedent(code)]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return (done.stdout + done.stderr).strip()


PRELUDE = """
import sys
from slope.plugins import selection as s
from slope.plugins.manager import plugins
from slope.errors import SlopeError

def error(call, *args):
    try:
        call(*args)
    except SlopeError as e:
        return f"{type(e).__name__}: {e}"
    raise AssertionError("no error")
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SLOPE_DISABLE_PLUGINS", INSTALLED)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Site(tmp_path)
    yield made
    for module in made.modules:
        sys.modules.pop(module, None)
