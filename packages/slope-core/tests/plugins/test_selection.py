"""Which backend computes, and what importing slope loads."""

from __future__ import annotations


def test_importing_slope_loads_nothing_that_only_some_programs_need(site):
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


def test_the_default_is_the_one_of_highest_priority(site):
    site.add_backend("low", 10)
    site.add_backend("high", 30)
    site.add_backend("middle", 20)
    code = "print(s.installed(), s.current_backend().name, s.selected_by())"
    assert site.run(code) == "('high', 'middle', 'low') high default"


def test_the_environment_variable_selects_by_name_or_alias_in_any_case(site):
    site.add_backend("low", 10, aliases="('Little',)")
    site.add_backend("high", 30)
    code = "print(s.current_backend().name, s.selected_by())"
    assert site.run(code, SLOPE_BACKEND="LOW") == "low SLOPE_BACKEND"
    assert site.run(code, SLOPE_BACKEND="little") == "low SLOPE_BACKEND"


def test_set_and_use_backend(site):
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


def test_a_backend_is_made_once_by_many_threads(site):
    slow = site.made.format(name="one") + "        import time; time.sleep(0.05); print('made')\n"
    site.add_backend("one", made=slow)
    code = """
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(lambda i: s.backend(("one", None, "ONE")[i % 3]), range(32)))
    print(len(made))
    """
    assert site.run(code).splitlines() == ["made", "1"]


def test_unknown_names_list_the_installed_and_the_commands_of_the_known(site):
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


def test_a_backend_whose_plugin_is_disabled_is_said_to_be(site):
    site.add_backend("onnxruntime")
    site.add_backend("numpy", distribution="fake-numpy")
    code = 'print(error(s.backend, "onnx"))'
    text = site.run(code, SLOPE_DISABLE_PLUGINS=f"{site.installed},onnxruntime")
    assert text.startswith("BackendError: the backend 'onnx' is kept out: SLOPE_DISABLE_PLUGINS=")
    assert "disables the plugin onnxruntime (from dist-onnxruntime 1.2)" in text
    assert text.endswith("numpy is installed and enabled.")


def test_an_unknown_name_in_the_environment_is_said_to_come_from_there(site):
    site.add_backend("one")
    code = "print(error(s.current_backend))"
    text = site.run(code, SLOPE_BACKEND="tpu")
    assert text.startswith(
        "BackendError: SLOPE_BACKEND=tpu: there is no backend 'tpu'; one is inst"
    )


def test_nothing_installed_says_what_to_install(site):
    text = site.run("print(error(s.backend))")
    assert text.startswith("BackendError: slope has no backend to compute with. Install one: pip ")
    for command in ("slope-backend-numpy,", '"slope-backend-onnx[cpu]",', "slope-backend-iree"):
        assert f"pip install {command}" in text


def test_a_backend_whose_import_fails_gives_the_cause_and_the_command(site):
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


def test_a_default_that_fails_falls_to_the_next_with_one_logged_line(site):
    site.add_backend("broken", 30, made="import absent_runtime")
    site.add_backend("plain", 10)
    name, line = site.run("print(s.backend().name); s.backend(); print(end='')").splitlines()
    assert name == "plain"
    assert line.startswith("the default backend broken cannot be used, trying plain: ")
    chosen = site.run("print(error(s.backend))", SLOPE_BACKEND="broken")
    assert "SLOPE_BACKEND=broken: the backend 'broken'" in chosen


def test_when_every_backend_fails_each_reason_is_told(site):
    site.add_backend("first", 30, made="import absent_one")
    site.add_backend("second", 10, made="raise OSError('no driver')")
    text = site.run("print(error(s.backend))")
    assert "none of the installed backends can be used" in text
    assert "absent_one" in text
    assert "OSError: no driver" in text


def test_two_distributions_with_one_backend_name_clash_only_for_who_asks(site):
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


def test_asking_for_the_backend_of_a_plugin_that_failed_raises_its_failure(site):
    site.add("bad", {"onnxruntime": "bad_plugin"}, {"bad_plugin": "import no_such_library"})
    text = site.run('print(error(s.backend, "onnx"))')
    assert text.startswith("PluginError: the plugin onnxruntime (from bad 1.2) failed to load: Mod")


def test_a_target_that_makes_no_backend_of_that_name_is_refused(site):
    site.add_backend("one", made=site.made.format(name="two"))
    site.add_backend("none", made="Made = dict")
    text = site.run('print(error(s.backend, "one")); print(error(s.backend, "none"))')
    assert "made Made, which is called 'two'" in text
    assert "made dict, which is no backend" in text


def test_the_current_backend_costs_next_to_nothing(site):
    site.add_backend("one")
    code = """
    import timeit
    s.backend()
    look = min(timeit.repeat(s.current_backend, number=20_000, repeat=20))
    base = min(timeit.repeat(lambda: None, number=20_000, repeat=20))
    print(look / base)
    """
    assert float(site.run(code)) < 8  # 0.2 us against some 0.03 us of an empty function
