"""A task is as fresh as a process: what one finds, draws and leaves is what `python flow.py` would.

What an executed task cannot get wrong is tested of forked ones only.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from support.interpreter import has
from support.present import present
from support.site import Site

needs_sklearn = pytest.mark.skipif(not has("sklearn"), reason="scikit-learn is not installed")


@needs_sklearn
def test_siblings_draw_different_numbers(one_site: Site) -> None:
    draws = one_site.run_flow("draws.py", "run").succeeded().values("join")["draws"]
    same = [name for name in draws[0] if len({one[name] for one in draws}) < len(draws)]
    assert same == []


@pytest.mark.ours
def test_a_forked_task_sees_what_an_executed_one_sees(tmp_path: Path) -> None:
    prints: dict[str, Any] = {}
    for mode in ("fork", "exec"):
        directory = tmp_path / "same"
        directory.mkdir()
        site = Site(directory, mode)
        variables = {"METAFLOW_LOCAL_ISOLATION": None} if mode == "fork" else {}
        finished = site.run_flow(
            "fingerprint.py", "run", env={**variables, "MILLRACE_TEST_MARK": "fingerprint"}
        ).succeeded()
        text = repr(finished.values("start")["print"]).replace(str(finished.run_id), "RUN")
        prints[mode] = eval(text)
        prints[mode]["environment"].pop("METAFLOW_LOCAL_ISOLATION", None)
        shutil.rmtree(directory)
    for name, seen in prints["fork"].items():
        assert seen == prints["exec"][name], name
    assert prints["fork"]["group"]
    assert prints["fork"]["threads"] == ["MainThread"]
    assert prints["fork"]["stdin"] == "/dev/null"
    assert prints["fork"]["at_import"]["name"] == "__main__"


def test_the_flow_file_runs_from_its_top_in_every_task(one_site: Site) -> None:
    source = """
        import os
        from metaflow import FlowSpec, step

        with open("imports.txt", "a") as file:
            file.write(f"{os.getpid()}\\n")
        COUNTER = []

        class TopFlow(FlowSpec):
            @step
            def start(self):
                COUNTER.append(1)
                self.count, self.pid = len(COUNTER), os.getpid()
                self.next(self.end)

            @step
            def end(self):
                COUNTER.append(1)
                self.count, self.pid = len(COUNTER), os.getpid()

        if __name__ == "__main__":
            TopFlow()
    """
    finished = one_site.run_flow(source, "run").succeeded()
    pids = (one_site.directory / "imports.txt").read_text().split()
    start, end = finished.values("start"), finished.values("end")
    assert (start["count"], end["count"]) == (1, 1)
    assert len(set(pids)) == len(pids) == 3
    assert {str(start["pid"]), str(end["pid"])} < set(pids)


def test_first_party_modules_are_imported_anew_in_every_task(one_site: Site) -> None:
    one_site.write(
        "package/__init__.py",
        """
        import os

        PID = os.getpid()
        """,
    )
    source = """
        import os
        from metaflow import FlowSpec, step
        from package import PID

        class PackageFlow(FlowSpec):
            @step
            def start(self):
                self.own = PID == os.getpid()
                self.next(self.end)

            @step
            def end(self):
                self.own = PID == os.getpid()

        if __name__ == "__main__":
            PackageFlow()
    """
    finished = one_site.run_flow(source, "run").succeeded()
    assert finished.values("start")["own"]
    assert finished.values("end")["own"]


def test_a_seed_at_module_level_holds_in_every_task(one_site: Site) -> None:
    source = """
        import random
        from metaflow import FlowSpec, step

        random.seed(7)

        class SeedFlow(FlowSpec):
            @step
            def start(self):
                self.items = range(3)
                self.next(self.work, foreach="items")

            @step
            def work(self):
                self.drawn = random.random()
                self.next(self.join)

            @step
            def join(self, inputs):
                self.drawn = [one.drawn for one in inputs]
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            SeedFlow()
    """
    import random

    drawn = one_site.run_flow(source, "run").succeeded().values("join")["drawn"]
    assert drawn == [random.Random(7).random()] * 3


@needs_sklearn
def test_threads_of_numpy_are_limited_by_a_variable_set_before_its_import(one_site: Site) -> None:
    source = """
        import os

        os.environ["OMP_NUM_THREADS"] = "1"
        os.environ["OPENBLAS_NUM_THREADS"] = "1"

        import numpy
        from metaflow import FlowSpec, step

        class ThreadsFlow(FlowSpec):
            @step
            def start(self):
                import threadpoolctl

                self.total = float((numpy.ones((50, 50)) @ numpy.ones((50, 50))).sum())
                self.pools = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            ThreadsFlow()
    """
    start = one_site.run_flow(source, "run").succeeded().values("start")
    assert start["pools"]
    assert set(start["pools"]) == {1}


COMPUTING = """
    import MODULE
    from metaflow import FlowSpec, step

    FIRST = SUM

    class ComputingFlow(FlowSpec):
        @step
        def start(self):
            self.items = range(3)
            self.next(self.work, foreach="items")

        @step
        def work(self):
            self.total = SUM
            self.next(self.join)

        @step
        def join(self, inputs):
            self.totals = [FIRST, *(one.total for one in inputs)]
            self.next(self.end)

        @step
        def end(self):
            pass

    if __name__ == "__main__":
        ComputingFlow()
"""

SUMS = {
    "numpy": "float((numpy.ones((300, 300)) @ numpy.ones((300, 300))).sum() / 27_000_000 * 6)",
    "polars": "polars.DataFrame({'a': [1, 2, 3]}).lazy().select(polars.col('a').sum()).collect().item()",
    "torch": "float(torch.ones(1000, 1000).matmul(torch.ones(1000, 1000)).sum() / 1e9 * 6)",
    "sklearn": (
        "round(__import__('sklearn.linear_model').linear_model.LinearRegression()"
        ".fit([[0.0], [1.0]], [0.0, 6.0]).predict([[1.0]])[0])"
    ),
}


@pytest.mark.parametrize("module", SUMS)
def test_libraries_that_computed_at_module_level_compute_in_tasks(one_site: Site, module: str) -> None:
    if not has(module):
        pytest.skip(f"{module} is not installed")
    source = COMPUTING.replace("MODULE", module).replace("SUM", SUMS[module])
    finished = one_site.run_flow(source, "run", within=40).succeeded()
    assert finished.values("join")["totals"] == [6, 6, 6, 6]


def test_what_module_level_starts_and_opens(site: Site) -> None:
    site.write("words.txt", "first\nsecond\n")
    source = """
        import os
        import threading
        from metaflow import FlowSpec, step

        TICKS = threading.Event()
        threading.Thread(target=TICKS.set, name="ticker", daemon=True).start()
        WAITER = threading.Thread(target=threading.Event().wait, name="waiter", daemon=True)
        WAITER.start()
        FILE = open("words.txt")
        FIRST = FILE.readline()
        LOG = open("log.txt", "a")
        LOG.write("opened\\n")
        os.environ["SET_BY_THE_FLOW"] = "yes"

        def facts():
            LOG.write("in a step\\n")
            return {
                "ticked": TICKS.wait(5),
                "waiter": WAITER.is_alive() and "waiter" in [thread.name for thread in threading.enumerate()],
                "rest": FIRST + FILE.read(),
                "variable": os.environ["SET_BY_THE_FLOW"],
            }

        class OpensFlow(FlowSpec):
            @step
            def start(self):
                self.facts = facts()
                self.next(self.end)

            @step
            def end(self):
                self.facts = facts()

        if __name__ == "__main__":
            OpensFlow()
    """
    finished = site.run_flow(source, "run").succeeded()
    expected = {"ticked": True, "waiter": True, "rest": "first\nsecond\n", "variable": "yes"}
    assert finished.values("start")["facts"] == expected
    assert finished.values("end")["facts"] == expected
    lines = (site.directory / "log.txt").read_text().splitlines()
    assert sorted(lines) == ["in a step"] * 2 + ["opened"] * 3, "nothing buffered is written twice or lost"


def test_a_directory_changed_at_module_level(site: Site) -> None:
    (site.directory / "below").mkdir()
    source = """
        import os
        from metaflow import FlowSpec, step

        os.chdir(os.path.dirname(os.path.abspath(__file__)) + "/below")

        class MovedFlow(FlowSpec):
            @step
            def start(self):
                self.place = os.path.basename(os.getcwd())
                self.next(self.end)

            @step
            def end(self):
                self.place = os.path.basename(os.getcwd())

        if __name__ == "__main__":
            MovedFlow()
    """
    path = site.write("moved.py", source)
    finished = site.run_flow(str(path), "run", cwd=site.directory).succeeded()
    root = next(site.directory.rglob("MovedFlow")).parent
    places = list(root.glob(f"MovedFlow/{finished.run_id}/*/*/0.DONE.lock"))
    assert len(places) == 3
    from metaflow import Run, metadata, namespace

    metadata(f"local@{root.parent}")
    namespace(None)
    run = Run(f"MovedFlow/{finished.run_id}")
    assert (present(run["start"].task).data.place, present(run["end"].task).data.place) == ("below", "below")


def test_exit_handlers_and_threads_complete_before_the_next_step(one_site: Site) -> None:
    source = """
        import atexit
        import pathlib
        import threading
        import time
        from metaflow import FlowSpec, step

        def farewell():
            time.sleep(0.2)
            with open("farewells.txt", "a") as file:
                file.write("farewell\\n")
            print("said at exit", flush=True)

        class FarewellFlow(FlowSpec):
            @step
            def start(self):
                atexit.register(farewell)
                threading.Thread(target=lambda: (time.sleep(0.3), pathlib.Path("thread.txt").touch())).start()
                self.next(self.end)

            @step
            def end(self):
                self.saw = pathlib.Path("farewells.txt").exists() and pathlib.Path("thread.txt").exists()

        if __name__ == "__main__":
            FarewellFlow()
    """
    finished = one_site.run_flow(source, "run").succeeded()
    assert (one_site.directory / "farewells.txt").read_text() == "farewell\n"
    assert finished.values("end")["saw"]
    assert "said at exit" in finished.task("start").stdout


@needs_sklearn
@pytest.mark.slow
def test_workers_of_scikit_learn_end_with_their_task(one_site: Site) -> None:
    source = """
        from sklearn.datasets import load_iris
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.model_selection import cross_val_score
        from metaflow import FlowSpec, step

        class WorkersFlow(FlowSpec):
            @step
            def start(self):
                model = RandomForestClassifier(n_estimators=5, n_jobs=2)
                self.scores = cross_val_score(model, *load_iris(return_X_y=True), cv=2, n_jobs=2).tolist()
                self.next(self.end)

            @step
            def end(self):
                pass

        if __name__ == "__main__":
            WorkersFlow()
    """
    assert min(one_site.run_flow(source, "run").succeeded().values("start")["scores"]) > 0.7
