"""Finding, loading, disabling and registering plugins; what hooks and specs must be."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace

import pytest

from slope.errors import PluginError
from slope.extend import API_VERSION, BackendSpec, Operator, OperatorSpec, hookimpl
from slope.plugins import hookspecs
from slope.plugins.manager import PluginManager


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


def test_the_api_version_is_the_one_that_the_header_of_these_tests_declares(site):
    assert f"slope_api_version = {API_VERSION}" in site.header


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


def test_the_order_is_by_distribution_then_by_entry_point(site):
    for distribution, names in (("Zeta", "ab"), ("alpha_two", "c"), ("alpha-One", "ed")):
        modules = {name: f"order_{name}" for name in names}
        site.add(distribution, modules, dict.fromkeys(modules.values(), site.header))
    assert [plugin.name for plugin in site.found()] == ["d", "e", "c", "a", "b"]
    assert {plugin.state for plugin in site.found()} == {"loaded"}
    assert (site.found()[0].distribution, site.found()[0].version) == ("alpha-One", "1.2")


def test_a_failing_import_is_recorded_and_stops_no_other(site):
    site.add("bad", {"bad": "bad_plugin"}, {"bad_plugin": "import no_such_library"})
    site.add_backend("good")
    bad, good = site.found()
    assert bad.state == "failed"
    assert bad.reason == "ModuleNotFoundError: No module named 'no_such_library'"
    assert "import no_such_library" in bad.traceback
    assert good.state == "loaded"
    assert [spec.name for spec in good.backends] == ["good"]


def test_a_plugin_that_exits_when_imported_is_recorded(site):
    site.add("quitter", {"quitter": "quitter_plugin"}, {"quitter_plugin": "raise SystemExit(3)"})
    site.add_backend("leaving", made="raise SystemExit(4)")
    assert (site.find("quitter").state, site.find("quitter").reason) == ("failed", "SystemExit: 3")
    text = site.run('print(error(s.backend, "leaving"))')
    assert "of the plugin leaving (from dist-leaving 1.2) cannot be used: SystemExit: 4" in text


@pytest.mark.parametrize(
    ("version", "remedy"),
    [(API_VERSION + 1, "--upgrade slope-core"), (API_VERSION - 1, "--upgrade old-dist")],
)
def test_another_api_version_says_which_side_to_upgrade(site, version: int, remedy: str):
    site.add("old-dist", {"old": "old_plugin"}, {"old_plugin": f"slope_api_version = {version}"})
    assert site.find("old").state == "failed"
    assert f"for version {version} of the plugin API" in site.find("old").reason
    assert site.find("old").reason.endswith(remedy)


def test_a_plugin_without_an_api_version_is_told_the_line_to_write(site):
    site.add("mute", {"mute": "mute_plugin"}, {"mute_plugin": ""})
    assert f"write `slope_api_version = {API_VERSION}` in mute_plugin" in site.find("mute").reason


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
        ("@hookimpl\ndef slope_operators():\n    return 'm:swish'\n", "'m:swish'; return a list"),
        ("@hookimpl\ndef slope_backends():\n    return {'a': 1}\n", "{'a': 1}; return a list"),
        (
            "@hookimpl\ndef slope_backends():\n    return 3\n",
            "misfit (from misfit 1.2) returned 3;",
        ),
        (
            "@hookimpl\ndef slope_backends():\n    pass\n",
            "misfit 1.2) returned None; return",
        ),
        (
            "@hookimpl\ndef slope_operators():\n    return [3]\n",
            "misfit (from misfit 1.2): an entr",
        ),
        ("@hookimpl\ndef slope_operators():\n    return 1 / 0\n", "ZeroDivisionError"),
    ],
)
def test_a_hook_that_does_not_fit_is_recorded(site, source: str, reason: str):
    site.add("misfit", {"misfit": "misfit_plugin"}, {"misfit_plugin": site.header + source})
    site.add_backend("well")
    misfit, well = site.found()[::-1]
    assert (misfit.state, well.state) == ("failed", "loaded")
    assert reason in misfit.reason


def test_two_distributions_with_one_entry_point_name_are_both_kept_out(site):
    site.add("left", {"same": "left_plugin"}, {"left_plugin": site.header})
    site.add("right", {"same": "right_plugin"}, {"right_plugin": site.header})
    site.add_backend("third")
    plugins = {plugin.distribution: plugin for plugin in site.found()}
    assert {name: plugin.state for name, plugin in plugins.items()} == {
        "left": "failed",
        "right": "failed",
        "dist-third": "loaded",
    }
    assert "two distributions, left and right" in plugins["left"].reason


def test_disabling_one_of_the_two_distributions_lets_the_other_in(site, monkeypatch):
    site.add("left", {"same": "left_plugin"}, {"left_plugin": site.header})
    site.add("right", {"same": "right_plugin"}, {"right_plugin": site.header})
    monkeypatch.setenv("SLOPE_DISABLE_PLUGINS", f"{site.installed}, Right")
    assert [(p.distribution, p.state) for p in site.found()] == [
        ("left", "loaded"),
        ("right", "disabled"),
    ]


def test_disabled_plugins_are_not_imported(site, monkeypatch):
    site.add("loud", {"loud": "loud_plugin"}, {"loud_plugin": "raise SystemExit('imported')"})
    site.add_backend("calm")
    monkeypatch.setenv("SLOPE_DISABLE_PLUGINS", f"{site.installed},LOUD ,")
    assert {p.name: p.state for p in site.found()} == {"loud": "disabled", "calm": "loaded"}
    assert site.find("loud").reason == "by SLOPE_DISABLE_PLUGINS"
    monkeypatch.setenv("SLOPE_DISABLE_PLUGINS", "all")
    assert {p.state for p in site.found()} == {"disabled"}


def test_a_distribution_without_metadata_still_counts(site):
    site.add("bare", {"bare": "bare_plugin"}, {"bare_plugin": site.header})
    (site.folder / "bare-1.2.dist-info" / "METADATA").unlink()
    assert site.find("bare").state == "loaded"


def test_a_plugin_that_asks_for_plugins_while_it_is_imported_is_told_so(site):
    source = site.header + "from slope.plugins.selection import backend\nbackend()\n"
    site.add("hasty", {"hasty": "hasty_plugin"}, {"hasty_plugin": source})
    site.add_backend("one")
    code = """
    print([(p.state, p.reason) for p in plugins() if p.name == "hasty"])
    print(s.backend().name)
    """
    record, name = site.run(code).splitlines()
    assert record.startswith("[('failed', \"a plugin's module computes with slope")
    assert name == "one"


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
