"""``python -m slope info``, run as a user runs it, on throwaway distributions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from slope.plugins.cache_root import cache_root, is_caching

# Those that happen to be installed where the tests run take no part.
INSTALLED = ",".join(sorted({e.dist.name for e in entry_points(group="slope") if e.dist}))

GOOD = """
from slope.extend import BackendSpec, OperatorSpec, hookimpl
slope_api_version = 1

@hookimpl
def slope_backends():
    return [
        BackendSpec(name="good", target="good_impl:Good", aliases=("fine",), priority=10),
        BackendSpec(name="lame", target="good_impl:Lame", priority=5),
        BackendSpec(name="gone", target="no_such_module:Gone"),
    ]

@hookimpl
def slope_operators():
    return [
        OperatorSpec(name="swish", function="good_impl:swish", method=True),
        OperatorSpec(name="dtype", function="good_impl:kind", method=True),
    ]
"""

IMPL = """
from slope.extend import Backend, Device

class Good(Backend):
    name = "good"

    def devices(self):
        return [Device("cpu", 0), Device("cuda", 1)]

    def version(self):
        return "good-runtime 4.5"

class Lame(Backend):
    name = "lame"

    def devices(self):
        raise OSError("the driver does not answer\\nat all")
"""


def install(folder: Path, name: str, module: str, **sources: str) -> None:
    """Write a distribution whose one entry point bears its name."""
    info = folder / f"{name}-3.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 3.1\n")
    (info / "entry_points.txt").write_text(f"[slope]\n{name} = {module}\n")
    for file, source in sources.items():
        (folder / f"{file}.py").write_text(source)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "site"
    path.mkdir()
    install(path, "good", "good_plugin", good_plugin=GOOD, good_impl=IMPL)
    install(path, "bad", "bad_plugin", bad_plugin="import no_such_library")
    install(path, "off", "off_plugin", off_plugin="raise RuntimeError('it was imported')")
    cache = tmp_path / "cache"
    (cache / "good").mkdir(parents=True)
    (cache / "good" / "one.bin").write_bytes(b"x" * 3 * 1024 * 1024)
    (cache / "loose.bin").write_bytes(b"x" * 1024 * 1024)
    return path


def run(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    known = {k: v for k, v in os.environ.items() if not k.startswith("SLOPE_")}
    own = {
        "PYTHONPATH": os.pathsep.join([str(folder), *filter(None, sys.path)]),
        "SLOPE_DISABLE_PLUGINS": f"{INSTALLED},off",
        "SLOPE_CACHE": str(folder.parent / "cache"),
    }
    return subprocess.run(
        [sys.executable, "-m", "slope", *arguments],
        env={**known, **own, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def report(folder: Path, **env: str) -> dict[str, Any]:
    done = run(folder, "info", "--json", **env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def line_of(lines: list[str], *cells: str) -> str:
    """The one line whose first cells are these; how wide they are depends on the others."""
    (line,) = (a for a in lines if re.split(r" {2,}", a.strip())[: len(cells)] == [*cells])
    return line


def by_name(entries: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in entries}


def test_json_holds_versions_plugins_and_backends(folder: Path):
    info = report(folder)
    assert info["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert info["versions"]["good"] == "3.1"
    assert "numpy" in info["versions"]
    plugins = by_name(info["plugins"])
    assert plugins["good"]["state"] == "loaded"
    assert plugins["good"]["entry_point"] == "good_plugin"
    assert (plugins["bad"]["state"], plugins["off"]["state"]) == ("failed", "disabled")
    assert plugins["bad"]["reason"] == "ModuleNotFoundError: No module named 'no_such_library'"
    assert "Traceback" in plugins["bad"]["traceback"]
    backends = by_name(info["backends"])
    assert [backend["name"] for backend in info["backends"]] == ["good", "lame", "gone"]
    assert backends["good"]["devices"] == ["cpu:0", "cuda:1"]
    assert backends["good"]["version"] == "good-runtime 4.5"
    assert backends["good"]["selected"]
    assert info["selected"] == {"name": "good", "by": "default", "error": ""}


def test_a_failing_backend_is_reported_and_breaks_nothing(folder: Path):
    backends = by_name(report(folder)["backends"])
    assert backends["lame"]["error"] == "OSError: the driver does not answer\nat all"
    assert "No module named 'no_such_module'" in backends["gone"]["error"]
    assert backends["good"]["error"] == ""


def test_the_selection_says_what_made_it_or_why_there_is_none(folder: Path):
    assert report(folder, SLOPE_BACKEND="lame")["selected"]["by"] == "SLOPE_BACKEND"
    selected = report(folder, SLOPE_BACKEND="tpu")["selected"]
    assert (selected["name"], selected["by"]) == ("", "")
    assert "SLOPE_BACKEND=tpu: there is no backend 'tpu'" in selected["error"]


def test_operators_and_cache(folder: Path):
    info = report(folder)
    kind, swish = info["operators"]
    assert (kind["name"], kind["problem"]) == ("dtype", "the method is hidden by slope's own")
    assert swish["problem"] == ""
    assert (swish["name"], swish["distribution"], swish["method"]) == ("swish", "good", True)
    assert info["cache"] == {
        "location": str(folder.parent / "cache"),
        "on": True,
        "by": "SLOPE_CACHE",
        "size_mib": 4.0,
        "folders": {"good": 3.0},
    }


def test_the_text_is_aligned_and_tells_the_same(folder: Path):
    done = run(folder, "info")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    titles = [line for line in lines if line and not line.startswith(" ")]
    assert titles == ["Versions", "Plugins", "Backends", "Operators of plugins", "Cache"]
    good = line_of(lines, "good", "good 3.1", "good_plugin", "loaded")
    bad = line_of(lines, "bad", "bad 3.1", "bad_plugin")
    assert good.index("loaded") == bad.index("failed: ModuleNotFoundError")
    assert "  *  good, fine  cpu:0 cuda:1  good-runtime 4.5" in lines
    assert "     lame        -             OSError: the driver does not answer at all" in lines
    assert "  * selected by default" in lines
    assert f"  {folder.parent / 'cache'}  (4.0 MiB, good 3.0)" in lines
    assert "Traceback" not in done.stdout


def test_verbose_prints_the_tracebacks(folder: Path):
    done = run(folder, "info", "--verbose")
    assert "Traceback of bad" in done.stdout
    assert "import no_such_library" in done.stdout


def test_without_any_backend_it_still_reports(folder: Path):
    done = run(folder, "info", SLOPE_DISABLE_PLUGINS="all")
    assert done.returncode == 0, done.stderr
    assert "slope has no backend to compute with" in done.stdout
    disabled = "disabled: by SLOPE_DISABLE_PLUGINS"
    assert line_of(done.stdout.splitlines(), "good", "good 3.1", "good_plugin", disabled)


def test_an_unknown_command_is_refused_and_help_names_info(folder: Path):
    done = run(folder, "inform")
    assert done.returncode == 2
    assert "invalid choice: 'inform'" in done.stderr
    assert "info" in run(folder, "--help").stdout


def test_the_cache_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SLOPE_CACHE", str(tmp_path / "here"))
    assert cache_root() == tmp_path / "here"
    monkeypatch.delenv("SLOPE_CACHE")
    assert cache_root().name == "slope"
    assert cache_root().is_absolute()
    if sys.platform.startswith("linux"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert cache_root() == tmp_path / "slope"
        monkeypatch.setenv("XDG_CACHE_HOME", "relative")
        assert cache_root() == Path.home() / ".cache" / "slope"


@pytest.mark.parametrize("variable", ["SLOPE_CACHE", "SLOPE_DISK_CACHE"])
def test_the_cache_can_be_switched_off(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("SLOPE_DISK_CACHE", "1")
    monkeypatch.setenv("SLOPE_CACHE", str(tmp_path))
    assert is_caching()
    monkeypatch.setenv(variable, "off")
    assert not is_caching()
    assert cache_root().name != "off"  # which would be a folder wherever the program runs
