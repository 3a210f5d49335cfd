"""Operators, functions, methods and lowering rules that plugins offer."""

from __future__ import annotations

import pytest


def test_functions_and_methods_are_imported_when_they_are_used(site):
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


def test_what_plugins_offer_is_listed_by_dir_and_not_imported(site):
    site.add_operator("twice", "rotary")
    code = """
    import slope
    print("twice" in dir(slope), "twice" in dir(slope.ones(2)), "rotary_ops" in sys.modules)
    print({"extend", "nn", "testing", "softmax"} <= set(dir(slope)), "shape" in dir(slope.ones(2)))
    """
    assert site.run(code).splitlines() == ["True True False", "True True"]


def test_extend_and_testing_are_reached_through_slope(site):
    code = """
    import slope
    print("slope.testing" in sys.modules, "slope.extend" in sys.modules)
    print(slope.extend.Operator.__name__, slope.testing.check_operator.__name__)
    """
    assert site.run(code).splitlines() == ["False False", "Operator check_operator"]


def test_two_operators_of_one_name_clash_only_for_who_asks(site):
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


def test_an_operator_registered_again_in_a_notebook_replaces_the_first(site):
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


def add_lowerings(site, distribution: str, rules: str, rule_module: str = "") -> None:
    module = distribution.replace("-", "_")
    files = {module: LOWERINGS.format(rules=rules)}
    if rule_module:
        files[f"{module}_rules"] = rule_module
    site.add(distribution, {distribution: module}, files)


def test_lowerings_of_other_plugins_join_the_backends_own(site):
    site.add_backend("one")
    add_lowerings(site, "extra", "{'a': max, 'b': 'extra_rules:b'}", "def b(x): return x + 1")
    code = """
    rules = s.backend("one").lowerings
    print(sorted(rules), rules["own"]("four"), rules["a"](1, 2), "extra_rules" in sys.modules)
    print(rules["b"](1))
    """
    assert site.run(code).splitlines() == ["['a', 'b', 'own'] 4 2 False", "2"]


def test_a_foreign_rule_that_fails_names_operator_backend_and_plugin(site):
    site.add_backend("one")
    add_lowerings(site, "extra", "{'a': 'extra_rules:a'}", "def a(x): return 1 / x")
    code = """
    rule = s.backend("one").lowerings["a"]
    print(error(rule, 0))
    """
    assert site.run(code) == (
        "PluginError: the lowering of 'a' for 'one', which comes from the plugin extra (from extra "
        "1.2), failed: ZeroDivisionError: division by zero"
    )


def test_clashing_lowerings_raise_when_they_are_used(site):
    site.add_backend("one")
    add_lowerings(site, "extra", "{'own': max, 'a': max}")
    add_lowerings(site, "more", "{'a': min, 'b': min}")
    code = """
    rules = s.backend("one").lowerings
    print(rules["b"](1, 2)); print(error(rules["a"], 1))
    """
    good, between = site.run(code).splitlines()
    assert good == "1"
    assert "lowering of operator 'a' for the backend 'one' comes from two plugins" in between
    assert "extra (from extra 1.2) and more (from more 1.2)" in between


def test_a_plugins_rule_goes_before_the_backends_own(site):
    site.add_backend("one")
    add_lowerings(site, "extra", "{'own': max}")
    code = """
    import slope.extend as e
    print(s.backend("one").lowerings["own"](1, 2))
    class Again:
        @staticmethod
        @e.hookimpl
        def slope_lowerings(backend):
            return {"own": min}
    e.register_plugin(Again, "again")
    print(error(s.backend("one").lowerings["own"], 1, 2))
    """
    first, then = site.run(code).splitlines()
    assert first == "2"
    assert "comes from two plugins: extra (from extra 1.2) and again (registered in" in then
    assert then.endswith("Unregister again, or set SLOPE_DISABLE_PLUGINS to extra.")


def test_a_backend_takes_the_rules_of_those_that_it_derives_from(site):
    made = site.made.replace("    name =", "    rules_of = ('one',)\n    name =")
    site.add_backend("two", made=made.format(name="two"))
    add_lowerings(site, "extra", "{'a': max, 'own': min}")
    code = """
    rules = s.backend("two").lowerings
    print([rules[name](1, 2) for name in ("a", "own")])
    """
    assert site.run(code) == "[2, 1]"


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ("1 / 0", "in slope_lowerings: ZeroDivisionError"),
        ("[1]", "in slope_lowerings: it returned [1]; return a dict"),
        ("{'a': 3}", "the rule of operator 'a' for the backend 'one' has the target 3"),
    ],
)
def test_a_failing_lowerings_hook_is_logged_and_recorded(site, rules: str, reason: str):
    site.add_backend("one")
    add_lowerings(site, "extra", rules)
    code = """
    print(sorted(s.backend("one").lowerings))
    print([(p.state, p.reason) for p in plugins() if p.name == "extra"])
    """
    text = site.run(code)
    assert text.startswith("['own']\n[('failed', ")
    assert text.count(reason) == 2  # in the record, and in the log


def test_a_rule_that_cannot_be_imported_names_its_plugin(site):
    site.add_backend("one")
    add_lowerings(site, "extra", "{'a': 'extra_rules:missing'}", "")
    text = site.run('print(error(s.backend("one").lowerings["a"], 1))')
    assert "plugin extra (from extra 1.2) offers 'extra_rules:missing', which cannot be im" in text


def test_a_backend_follows_plugins_that_come_and_go_in_process(site):
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
