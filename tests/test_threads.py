"""Two threads trace, differentiate, compile and run different functions at once."""

import threading

import numpy as np

import slope

ROUNDS = 200


def test_two_threads_at_once(backend):
    compiles = 4 if backend == "iree" else ROUNDS  # IREE takes a third of a second for each
    failures = []
    barrier = threading.Barrier(2)

    def work(sign):
        try:
            with slope.use_backend(backend):
                jitted = slope.jit(slope.grad(lambda x, k: (slope.sin(x) * k).sum() * sign))
                for number in range(ROUNDS):
                    barrier.wait(60)
                    x = np.linspace(0, 1, 3 + number % compiles % 50, dtype=np.float32)
                    wanted = np.cos(x) * (number + 1.0) * sign
                    np.testing.assert_allclose(
                        jitted(x, number + 1.0).numpy(), wanted, rtol=1e-5, atol=1e-5
                    )
                    eager = slope.vmap(slope.grad(lambda v: slope.exp(v * sign)))(x)
                    np.testing.assert_allclose(
                        eager.numpy(), np.exp(x * sign) * sign, rtol=1e-5, atol=1e-5
                    )
        except BaseException as error:  # noqa: BLE001  # reported by the main thread
            failures.append(error)
            barrier.abort()

    threads = [threading.Thread(target=work, args=(sign,)) for sign in (1.0, -1.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_one_jitted_function_from_many_threads(backend):
    f = slope.jit(lambda x: (x * 2).sum())
    results = {}

    def work(number):
        with slope.use_backend(backend):
            results[number] = [f(np.full(8, number, np.float32)).item() for _ in range(50)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {number: [16.0 * number] * 50 for number in range(4)}
    assert f.compile_count == 1


def test_a_trace_is_seen_by_its_own_thread_alone():
    seen = []

    def f(x):
        thread = threading.Thread(target=lambda: seen.append((slope.ones(2) + 1).tolist()))
        thread.start()
        thread.join()
        return x * 2

    with slope.use_backend("numpy"):
        slope.set_backend("numpy")
        try:
            assert slope.jit(f)(slope.ones(1)).tolist() == [2.0]
        finally:
            slope.set_backend(None)
    assert seen == [[2.0, 2.0]]
