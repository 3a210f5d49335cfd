"""Plugins as throwaway distributions: a module and a dist-info folder on the path, as pip makes.

What concerns the manager alone runs here, on a fresh manager; what concerns the process's one
selection of a backend runs in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from slope.errors import PluginError
from slope.extend import API_VERSION, BackendSpec, Operator, OperatorSpec, hookimpl
from slope.plugins import hookspecs
from slope.plugins.loading import Plugin
from slope.plugins.manager import PluginManager

HEADER = "from slope.extend import hookimpl\nslope_api_version = 1\n"

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
    """A folder of throwaway distributions."""

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


def found(manager: PluginManager | None = None) -> list[Plugin]:
    """The throwaway plugins, in load order."""
    plugins = (manager or PluginManager()).snapshot().plugins
    return [plugin for plugin in plugins if plugin.distribution not in INSTALLED.split(",")]


def find(name: str) -> Plugin:
    return next(plugin for plugin in found() if plugin.name == name)


# --- the hooks


def hooks() -> dict[str, Callable[..., object]]:
    return {name: hook for name, hook in vars(hookspecs).items() if name.startswith("slope_")}


@pytest.mark.parametrize("name", hooks())
def test_every_hook_is_documented(name: str):
    text = hooks()[name].__doc__ or ""
    assert all(part in text for part in ("Parameters:", "Returns:", "versionadded::"))


@pytest.mark.parametrize("name", hooks())
def test_every_hook_only_collects(name: str):
    options = getattr(hooks()[name], "slope_spec")  # noqa: B009  # pluggy's mark, which no type knows
    assert not options["firstresult"]
    assert not options["historic"]


def test_the_api_version_is_the_one_that_the_header_of_these_tests_declares():
    assert f"slope_api_version = {API_VERSION}" in HEADER


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BackendSpec(name="My Backend", target="m:C"), "use lower case and no spaces"),
        (lambda: BackendSpec(name="mine", target="m.C"), "'m.C'; write it as 'module:attribute'"),
        (
            lambda: BackendSpec(name="mine", target="m:C", aliases="me"),
            "aliases of backend 'mine' are a string",
        ),
        (lambda: OperatorSpec(name="a-b", operator="m:o"), "which slope.NAME cannot be"),
        (lambda: OperatorSpec(name="a"), "neither an operator nor a function"),
        (lambda: OperatorSpec(name="a", function="m.f"), "operator 'a' has the target 'm.f'"),
        (lambda: OperatorSpec.of(3), "no operator and no OperatorSpec has the target 3"),
    ],
)
def test_a_spec_refuses_what_cannot_work(make, message: str):
    with pytest.raises(PluginError, match=message):
        make()


def test_an_operator_or_a_string_stands_for_a_spec():
    class Alone(Operator):
        name = "alone"

        def expand(self, x):
            return x

    op = Alone()
    assert OperatorSpec.of(op) == OperatorSpec(name="alone", operator=op)
    assert OperatorSpec.of("m.ops:swish") == OperatorSpec(name="swish", operator="m.ops:swish")


# --- finding and loading


def test_the_order_is_by_distribution_then_by_entry_point(site: Site):
    for distribution, names in (("Zeta", "ab"), ("alpha_two", "c"), ("alpha-One", "ed")):
        modules = {name: f"order_{name}" for name in names}
        site.add(distribution, modules, dict.fromkeys(modules.values(), HEADER))
    assert [plugin.name for plugin in found()] == ["d", "e", "c", "a", "b"]
    assert {plugin.state for plugin in found()} == {"loaded"}
    assert (found()[0].distribution, found()[0].version) == ("alpha-One", "1.2")


def test_a_failing_import_is_recorded_and_stops_no_other(site: Site):
    site.add("bad", {"bad": "bad_plugin"}, {"bad_plugin": "import no_such_library"})
    site.add_backend("good")
    bad, good = found()
    assert bad.state == "failed"
    assert bad.reason == "ModuleNotFoundError: No module named 'no_such_library'"
    assert "import no_such_library" in bad.traceback
    assert good.state == "loaded"
    assert [spec.name for spec in good.backends] == ["good"]


def test_a_plugin_that_exits_when_imported_is_recorded(site: Site):
    site.add("quitter", {"quitter": "quitter_plugin"}, {"quitter_plugin": "raise SystemExit(3)"})
    site.add_backend("leaving", made="raise SystemExit(4)")
    assert (find("quitter").state, find("quitter").reason) == ("failed", "SystemExit: 3")
    text = site.run('print(error(s.backend, "leaving"))')
    assert "of the plugin leaving (from dist-leaving 1.2) cannot be used: SystemExit: 4" in text


@pytest.mark.parametrize(
    ("version", "remedy"),
    [(API_VERSION + 1, "--upgrade slope-core"), (API_VERSION - 1, "--upgrade old-dist")],
)
def test_another_api_version_says_which_side_to_upgrade(site: Site, version: int, remedy: str):
    site.add("old-dist", {"old": "old_plugin"}, {"old_plugin": f"slope_api_version = {version}"})
    assert find("old").state == "failed"
    assert f"for version {version} of the plugin API" in find("old").reason
    assert find("old").reason.endswith(remedy)


def test_a_plugin_without_an_api_version_is_told_the_line_to_write(site: Site):
    site.add("mute", {"mute": "mute_plugin"}, {"mute_plugin": ""})
    assert f"write `slope_api_version = {API_VERSION}` in mute_plugin" in find("mute").reason


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("@hookimpl\ndef slope_backend():\n    return []\n", "unknown hook 'slope_backend'"),
        ("def slope_backends():\n    return []\n", "defines slope_backends without the mark"),
        (
            "@hookimpl\ndef slope_lowerings(which):\n    return {}\n",
            "Argument(s) {'which'} are declared",
        ),
        ("@hookimpl\ndef slope_lowerings(backend=1):\n    return {}\n", "'backend' of slope_low"),
        ("@hookimpl\ndef slope_backends():\n    return ['numpy']\n", "returned 'numpy'; return a"),
        ("@hookimpl\ndef slope_operators():\n    return ['swish']\n", "target 'swish'; write it"),
        ("@hookimpl\ndef slope_operators():\n    return 1 / 0\n", "ZeroDivisionError"),
    ],
)
def test_a_hook_that_does_not_fit_is_recorded(site: Site, source: str, reason: str):
    site.add("misfit", {"misfit": "misfit_plugin"}, {"misfit_plugin": HEADER + source})
    site.add_backend("well")
    misfit, well = found()[::-1]
    assert (misfit.state, well.state) == ("failed", "loaded")
    assert reason in misfit.reason


def test_two_distributions_with_one_entry_point_name_are_both_kept_out(site: Site):
    site.add("left", {"same": "left_plugin"}, {"left_plugin": HEADER})
    site.add("right", {"same": "right_plugin"}, {"right_plugin": HEADER})
    site.add_backend("third")
    plugins = {plugin.distribution: plugin for plugin in found()}
    assert {name: plugin.state for name, plugin in plugins.items()} == {
        "left": "failed",
        "right": "failed",
        "dist-third": "loaded",
    }
    assert "two distributions, left and right" in plugins["left"].reason


def test_disabling_one_of_the_two_distributions_lets_the_other_in(site: Site, monkeypatch):
    site.add("left", {"same": "left_plugin"}, {"left_plugin": HEADER})
    site.add("right", {"same": "right_plugin"}, {"right_plugin": HEADER})
    monkeypatch.setenv("SLOPE_DISABLE_PLUGINS", f"{INSTALLED}, Right")
    assert [(p.distribution, p.state) for p in found()] == [
        ("left", "loaded"),
        ("right", "disabled"),
    ]


def test_disabled_plugins_are_not_imported(site: Site, monkeypatch):
    site.add("loud", {"loud": "loud_plugin"}, {"loud_plugin": "raise SystemExit('imported')"})
    site.add_backend("calm")
    monkeypatch.setenv("SLOPE_DISABLE_PLUGINS", f"{INSTALLED},LOUD ,")
    assert {p.name: p.state for p in found()} == {"loud": "disabled", "calm": "loaded"}
    assert find("loud").reason == "by SLOPE_DISABLE_PLUGINS"
    monkeypatch.setenv("SLOPE_DISABLE_PLUGINS", "all")
    assert {p.state for p in found()} == {"disabled"}


def test_a_distribution_without_metadata_still_counts(site: Site):
    site.add("bare", {"bare": "bare_plugin"}, {"bare_plugin": HEADER})
    (site.folder / "bare-1.2.dist-info" / "METADATA").unlink()
    assert find("bare").state == "loaded"


def test_a_plugin_that_asks_for_plugins_while_it_is_imported_is_told_so(site: Site):
    source = HEADER + "from slope.plugins.selection import backend\nbackend()\n"
    site.add("hasty", {"hasty": "hasty_plugin"}, {"hasty_plugin": source})
    site.add_backend("one")
    code = """
    print([(p.state, p.reason) for p in plugins() if p.name == "hasty"])
    print(s.backend().name)
    """
    record, name = site.run(code).splitlines()
    assert record.startswith("[('failed', \"a plugin's module computes with slope")
    assert name == "one"


# --- registering in process


def test_registering_in_process_and_taking_out():
    manager = PluginManager()
    module = ModuleType("notebook")

    @hookimpl
    def slope_operators():
        return [OperatorSpec(name="note", function="m:f")]

    vars(module)["slope_operators"] = slope_operators
    record = manager.register(module, "notebook")
    assert record.state == "loaded"
    assert "note" in manager.snapshot().operators
    with pytest.raises(PluginError, match=r"there is a plugin notebook .*already"):
        manager.register(module, "notebook")
    manager.unregister("notebook")
    assert "note" not in manager.snapshot().operators
    with pytest.raises(PluginError, match=r"no plugin 'notebook' was registered .*none"):
        manager.unregister("notebook")


def test_registering_a_misspelt_hook_raises_at_once():
    manager = PluginManager()

    @hookimpl
    def slope_operator():
        return []

    plugin = SimpleNamespace(slope_operator=slope_operator)
    with pytest.raises(PluginError, match=r"unknown hook 'slope_operator'.*hooks: slope_backends"):
        manager.register(plugin, "wrong")
    assert "wrong" not in [p.name for p in manager.snapshot().plugins]


# --- which backend


def test_importing_slope_loads_nothing_that_only_some_programs_need(site: Site):
    site.add_backend("one")
    code = """
    import slope
    heavy = ("pluggy", "importlib.metadata", "logging", "dist_one", "dist_one_impl")
    print([m for m in (*heavy, "optree", "dataclasses") if m in sys.modules])
    plugins()
    print([m for m in heavy if m in sys.modules])
    s.backend("one")
    print([m for m in heavy if m in sys.modules])
    """
    first, second, third = site.run(code).splitlines()
    assert first == "[]"
    assert "dist_one'" in second
    assert "dist_one_impl" not in second
    assert "dist_one_impl" in third


def test_the_default_is_the_one_of_highest_priority(site: Site):
    site.add_backend("low", 10)
    site.add_backend("high", 30)
    site.add_backend("middle", 20)
    code = "print(s.installed(), s.current_backend().name, s.selected_by())"
    assert site.run(code) == "('high', 'middle', 'low') high default"


def test_the_environment_variable_selects_by_name_or_alias_in_any_case(site: Site):
    site.add_backend("low", 10, aliases="('Little',)")
    site.add_backend("high", 30)
    code = "print(s.current_backend().name, s.selected_by())"
    assert site.run(code, SLOPE_BACKEND="LOW") == "low SLOPE_BACKEND"
    assert site.run(code, SLOPE_BACKEND="little") == "low SLOPE_BACKEND"


def test_set_and_use_backend(site: Site):
    site.add_backend("low", 10)
    site.add_backend("high", 30)
    code = """
    import threading
    def now(): return s.current_backend().name
    @s.use_backend("low")
    def inside(): return now()
    print(now(), inside(), now())
    with s.use_backend("Low") as low:
        seen = []
        t = threading.Thread(target=lambda: seen.append(now())); t.start(); t.join()
        s.set_backend("high")
        print(now(), low is s.backend("low") is s.backend(), s.selected_by(), seen)
    s.set_backend("low"); print(now(), s.selected_by())
    print(error(s.set_backend, "nope")[:40]); print(now())
    s.set_backend(None); print(now(), s.selected_by())
    """
    assert site.run(code).splitlines() == [
        "high low high",
        "low True slope.use_backend ['high']",
        "low slope.set_backend",
        "BackendError: there is no backend 'nope'",
        "low",
        "high default",
    ]


def test_a_backend_is_made_once_by_many_threads(site: Site):
    slow = MADE.format(name="one") + "        import time; time.sleep(0.05); print('made')\n"
    site.add_backend("one", made=slow)
    code = """
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda i: s.backend(("one", None, "ONE")[i % 3]), range(32)))
    print(len(made))
    """
    assert site.run(code).splitlines() == ["made", "1"]


def test_unknown_names_list_the_installed_and_the_commands_of_the_known(site: Site):
    site.add_backend("numpy", distribution="fake-numpy")
    code = """
    s.KNOWN["absent"] = "pip install slope-backend-absent"  # the real ones may be installed here
    print(error(s.backend, "tpu")); print(error(s.backend, "ABSENT")); print(error(s.backend, 3))
    """
    tpu, absent, number = site.run(code).splitlines()
    assert tpu.startswith("BackendError: there is no backend 'tpu'; numpy is installed.")
    assert "iree: pip install slope-backend-iree; onnxruntime: pip install" in tpu
    assert "numpy: pip" not in tpu
    assert absent.startswith(
        "BackendError: the backend 'ABSENT' is not installed; numpy is installed. "
        "To install it: pip install slope-backend-absent"
    )
    assert (
        number
        == "BackendError: a backend is chosen by its name, such as 'numpy', and 3 is no string."
    )


def test_a_backend_whose_plugin_is_disabled_is_said_to_be(site: Site):
    site.add_backend("onnxruntime")
    site.add_backend("numpy", distribution="fake-numpy")
    code = 'print(error(s.backend, "onnx"))'
    text = site.run(code, SLOPE_DISABLE_PLUGINS=f"{INSTALLED},onnxruntime")
    assert text.startswith("BackendError: the backend 'onnx' is kept out: SLOPE_DISABLE_PLUGINS=")
    assert "disables the plugin onnxruntime (from dist-onnxruntime 1.2)" in text
    assert text.endswith("numpy is installed and enabled.")


def test_an_unknown_name_in_the_environment_is_said_to_come_from_there(site: Site):
    site.add_backend("one")
    code = "print(error(s.current_backend))"
    text = site.run(code, SLOPE_BACKEND="tpu")
    assert text.startswith(
        "BackendError: SLOPE_BACKEND=tpu: there is no backend 'tpu'; one is inst"
    )


def test_nothing_installed_says_what_to_install(site: Site):
    text = site.run("print(error(s.backend))")
    assert text.startswith("BackendError: slope has no backend to compute with. Install one: pip ")
    for command in ("slope-backend-numpy,", '"slope-backend-onnx[cpu]",', "slope-backend-iree"):
        assert f"pip install {command}" in text


def test_a_backend_whose_import_fails_gives_the_cause_and_the_command(site: Site):
    site.add_backend("broken", 30, made="import absent_runtime")
    site.add_backend("plain", 10)
    code = """
    print(error(s.backend, "broken"))
    try: s.backend("broken")
    except SlopeError as e: print(type(e.__cause__).__name__)
    print(s.backend("plain").name)
    """
    text, cause, plain = site.run(code).splitlines()
    assert "the backend 'broken' of the plugin broken (from dist-broken 1.2) cannot be used" in text
    assert "No module named 'absent_runtime'" in text
    assert "pip install broken-runtime" in text
    assert (cause, plain) == ("ModuleNotFoundError", "plain")


def test_a_default_that_fails_falls_to_the_next_with_one_logged_line(site: Site):
    site.add_backend("broken", 30, made="import absent_runtime")
    site.add_backend("plain", 10)
    name, line = site.run("print(s.backend().name); s.backend(); print(end='')").splitlines()
    assert name == "plain"
    assert line.startswith("the default backend broken cannot be used, trying plain: ")
    chosen = site.run("print(error(s.backend))", SLOPE_BACKEND="broken")
    assert "SLOPE_BACKEND=broken: the backend 'broken'" in chosen


def test_when_every_backend_fails_each_reason_is_told(site: Site):
    site.add_backend("first", 30, made="import absent_one")
    site.add_backend("second", 10, made="raise OSError('no driver')")
    text = site.run("print(error(s.backend))")
    assert "none of the installed backends can be used" in text
    assert "absent_one" in text
    assert "OSError: no driver" in text


def test_two_distributions_with_one_backend_name_clash_only_for_who_asks(site: Site):
    site.add_backend("same", distribution="left", entry="left")
    site.add_backend("same", distribution="right", entry="right")
    site.add_backend("other")
    code = 'print(s.backend("other").name); print(error(s.backend, "same"))'
    other, text = site.run(code).splitlines()
    assert other == "other"
    assert text.startswith(
        "PluginError: the backend 'same' comes from two plugins: left (from left"
    )
    assert "right (from right 1.2)" in text
    assert "SLOPE_DISABLE_PLUGINS=right" in text


def test_asking_for_the_backend_of_a_plugin_that_failed_raises_its_failure(site: Site):
    site.add("bad", {"onnxruntime": "bad_plugin"}, {"bad_plugin": "import no_such_library"})
    text = site.run('print(error(s.backend, "onnx"))')
    assert text.startswith("PluginError: the plugin onnxruntime (from bad 1.2) failed to load: Mod")


def test_a_target_that_makes_no_backend_of_that_name_is_refused(site: Site):
    site.add_backend("one", made=MADE.format(name="two"))
    site.add_backend("none", made="Made = dict")
    text = site.run('print(error(s.backend, "one")); print(error(s.backend, "none"))')
    assert "made Made, which is called 'two'" in text
    assert "made dict, which is no backend" in text


def test_the_current_backend_costs_next_to_nothing(site: Site):
    site.add_backend("one")
    code = """
    import timeit
    s.backend()
    look = min(timeit.repeat(s.current_backend, number=20_000, repeat=20))
    base = min(timeit.repeat(lambda: None, number=20_000, repeat=20))
    print(look / base)
    """
    assert float(site.run(code)) < 8  # 0.2 us against some 0.03 us of an empty function


# --- operators, functions, lowerings


def test_functions_and_methods_are_imported_when_they_are_used(site: Site):
    site.add_operator("twice", "rotary")
    code = """
    from slope.core.operator import OPERATORS
    from slope.core.tensor import Tensor, Splat
    from slope.core.types import TensorType
    from slope.dtypes import float32
    from slope.plugins import contributions as c
    x = Splat(1, TensorType((2,), float32))
    for name in ("__path__", "_repr_html_"):
        for ask in (c.module_attribute, lambda n: c.tensor_attribute(x, n)):
            try: ask(name)
            except AttributeError as e: pass
    print("pluggy" in sys.modules)
    plugins(); print("rotary_ops" in sys.modules)
    print(c.module_attribute("twice")(x), c.tensor_attribute(x, "twice")(times=3))
    print(OPERATORS["twice"], c.find_operator("twice") is OPERATORS["twice"])
    for ask in (c.module_attribute, lambda n: c.tensor_attribute(x, n)):
        try: ask("thrice")
        except AttributeError as e: print(str(e)[:43])
    """
    assert site.run(code).splitlines() == [
        "False",
        "False",
        "('Splat', 'rotary', 2) ('Splat', 'rotary', 3)",
        "<operator twice> True",
        "module 'slope' has no attribute 'thrice'",
        "'Splat' object has no attribute 'thrice'",
    ]


def test_what_plugins_offer_is_listed_by_dir_and_not_imported(site: Site):
    site.add_operator("twice", "rotary")
    code = """
    import slope
    print("twice" in dir(slope), "twice" in dir(slope.ones(2)), "rotary_ops" in sys.modules)
    print({"extend", "nn", "testing", "softmax"} <= set(dir(slope)), "shape" in dir(slope.ones(2)))
    """
    assert site.run(code).splitlines() == ["True True False", "True True"]


def test_extend_and_testing_are_reached_through_slope(site: Site):
    code = """
    import slope
    print("slope.testing" in sys.modules, "slope.extend" in sys.modules)
    print(slope.extend.Operator.__name__, slope.testing.check_operator.__name__)
    """
    assert site.run(code).splitlines() == ["False False", "Operator check_operator"]


def test_two_operators_of_one_name_clash_only_for_who_asks(site: Site):
    site.add_operator("same", "left")
    site.add_operator("same", "right")
    site.add_operator("other", "third")
    code = """
    from slope.plugins import contributions as c
    print(c.find_operator("other")); print(error(c.module_attribute, "same"))
    """
    other, text = site.run(code).splitlines()
    assert other == "<operator other>"
    assert (
        "the operator 'same' comes from two plugins: left (from left 1.2) and right (from" in text
    )


def test_an_operator_registered_again_in_a_notebook_replaces_the_first(site: Site):
    code = """
    from slope.extend import Operator, OperatorSpec, hookimpl, register_plugin, unregister_plugin
    from slope.plugins import contributions as c
    def cell(value):
        class Mine(Operator):
            name = "mine"
            def expand(self, x): return x
        class Plug:
            @hookimpl
            def slope_operators(self):
                return [OperatorSpec(name="mine", operator=Mine(), function=lambda: value)]
        register_plugin(Plug(), name="cell")
    cell(1); first = c.find_operator("mine"); print(c.module_attribute("mine")())
    unregister_plugin("cell"); print(c.find_operator("mine"))
    cell(2); print(c.module_attribute("mine")(), c.find_operator("mine") is not first)
    """
    assert site.run(code).splitlines() == ["1", "None", "2 True"]


LOWERINGS = """
from slope.extend import hookimpl
slope_api_version = 1

@hookimpl
def slope_lowerings(backend):
    return {rules} if backend == "one" else {{}}
"""


def add_lowerings(site: Site, distribution: str, rules: str, rule_module: str = "") -> None:
    module = distribution.replace("-", "_")
    files = {module: LOWERINGS.format(rules=rules)}
    if rule_module:
        files[f"{module}_rules"] = rule_module
    site.add(distribution, {distribution: module}, files)


def test_lowerings_of_other_plugins_join_the_backends_own(site: Site):
    site.add_backend("one")
    add_lowerings(site, "extra", "{'a': max, 'b': 'extra_rules:b'}", "def b(x): return x + 1")
    code = """
    rules = s.backend("one").lowerings
    print(sorted(rules), rules["own"]("four"), rules["a"](1, 2), "extra_rules" in sys.modules)
    print(rules["b"](1))
    """
    assert site.run(code).splitlines() == ["['a', 'b', 'own'] 4 2 False", "2"]


def test_a_foreign_rule_that_fails_names_operator_backend_and_plugin(site: Site):
    site.add_backend("one")
    add_lowerings(site, "extra", "{'a': 'extra_rules:a'}", "def a(x): return 1 / x")
    code = """
    rule = s.backend("one").lowerings["a"]
    try: rule(0)
    except ZeroDivisionError as e: print(e.__notes__)
    """
    assert site.run(code) == (
        "[\"in the lowering of 'a' for 'one', which comes from the plugin extra (from extra 1.2)\"]"
    )


def test_clashing_lowerings_raise_when_they_are_used(site: Site):
    site.add_backend("one")
    add_lowerings(site, "extra", "{'own': max, 'a': max}")
    add_lowerings(site, "more", "{'a': min, 'b': min}")
    code = """
    rules = s.backend("one").lowerings
    print(rules["b"](1, 2)); print(error(rules["own"], 1)); print(error(rules["a"], 1))
    """
    good, own, between = site.run(code).splitlines()
    assert good == "1"
    assert "lowering of operator 'own' for the backend 'one' comes from two plugins" in own
    assert "one (from dist-one 1.2) and extra (from extra 1.2)" in own
    assert "extra (from extra 1.2) and more (from more 1.2)" in between


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ("1 / 0", "in slope_lowerings: ZeroDivisionError"),
        ("[1]", "in slope_lowerings: it returned [1]; return a dict"),
        ("{'a': 3}", "the rule of operator 'a' for the backend 'one' has the target 3"),
    ],
)
def test_a_failing_lowerings_hook_is_logged_and_recorded(site: Site, rules: str, reason: str):
    site.add_backend("one")
    add_lowerings(site, "extra", rules)
    code = """
    print(sorted(s.backend("one").lowerings))
    print([(p.state, p.reason) for p in plugins() if p.name == "extra"])
    """
    text = site.run(code)
    assert text.startswith("['own']\n[('failed', ")
    assert text.count(reason) == 2  # in the record, and in the log


def test_a_rule_that_cannot_be_imported_names_its_plugin(site: Site):
    site.add_backend("one")
    add_lowerings(site, "extra", "{'a': 'extra_rules:missing'}", "")
    text = site.run('print(error(s.backend("one").lowerings["a"], 1))')
    assert "plugin extra (from extra 1.2) offers 'extra_rules:missing', which cannot be im" in text


def test_a_backend_follows_plugins_that_come_and_go_in_process(site: Site):
    site.add_backend("one")
    code = """
    from slope.extend import BackendSpec, hookimpl, register_plugin, unregister_plugin
    one = s.backend("one")
    class Plug:
        @hookimpl
        def slope_lowerings(self, backend): return {"late": max}
        @hookimpl
        def slope_backends(self): return [BackendSpec(name="two", target="two_impl:Made")]
    register_plugin(Plug())
    print(sorted(one.lowerings), s.installed())
    unregister_plugin("Plug")
    print(sorted(one.lowerings), s.installed(), s.backend("one") is one)
    """
    assert site.run(code).splitlines() == [
        "['late', 'own'] ('one', 'two')",
        "['own'] ('one',) True",
    ]
