"""The programs of Metaflow's page on requesting compute resources (`support.founding`): what needs no cluster.

With clusters they run in tests/live.
"""

from __future__ import annotations

import json

import pytest

from support.founding import BIG_SUM, BIG_SUM_ON_BATCH, HYBRID_CLOUD, with_batch
from support.interpreter import PYTHON, has
from support.site import Site


def requests(site: Site, source: str, *words: str) -> dict[str, tuple[str, float, int, int | None]]:
    """Return where each step goes, its cores, its memory and its GPUs."""
    printed = json.loads(site.run_flow(source, "resources", "--json", *words).succeeded().stdout)
    keys = ("backend", "cpu", "memory", "gpu")
    return {name: tuple(step[key] for key in keys) for name, step in printed["steps"].items()}


pytestmark = pytest.mark.ours


@pytest.mark.skipif(not has("numpy"), reason="numpy is not there")
def test_a_sum_that_fits(one_site: Site) -> None:
    finished = one_site.run_flow(BIG_SUM.replace("80000, 80000", "300, 300"), "run").succeeded()
    assert finished.data.sum == pytest.approx(45000, rel=0.05)
    assert f"The sum is {finished.data.sum:f}." in finished.stdout


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.mark.skipif(not has("numpy"), reason="numpy is not there")
def test_a_sum_that_does_not_fit(site: Site) -> None:
    # Some machines promise more memory than they have, and kill who takes it: a limit makes all alike.
    finished = site.run_flow(BIG_SUM, "run", command=[PYTHON, "-c", LIMITED]).failed()
    assert "big_matrix = numpy.random.ranf((80000, 80000))" in finished.stdout
    assert "MemoryError" in finished.stdout
    assert "Unable to allocate 47.7 GiB" in finished.stderr
    assert "Step start (task-id 1) failed." in finished.stderr
    assert not finished.run.successful


def test_resources_are_for_whichever_backend_is_chosen(one_site: Site) -> None:
    assert requests(one_site, BIG_SUM)["start"] == ("local", 1, 60000, None)
    for backend in ("kubernetes", "batch"):
        assert requests(one_site, BIG_SUM, "--with", backend) == {
            "start": (backend, 1, 60000, None),
            "end": (backend, 1, 4096, None),
        }


@pytest.mark.parametrize("source", [BIG_SUM_ON_BATCH, HYBRID_CLOUD], ids=["BigSum", "HybridCloudFlow"])
def test_the_name_that_the_page_forgets(one_site: Site, source: str) -> None:
    finished = one_site.run_flow(source, "run").failed()
    assert "NameError: name 'batch' is not defined" in finished.stderr
    (hint,) = [line.strip() for line in finished.stderr.splitlines() if "hint:" in line]
    line = next(line for line in source.splitlines() if "from metaflow import" in line)
    assert hint.endswith(f"should read: {line}, batch")
    assert not one_site.root.exists()


def test_one_step_on_batch(one_site: Site) -> None:
    assert requests(one_site, with_batch(BIG_SUM_ON_BATCH)) == {
        "start": ("batch", 1, 60000, None),
        "end": ("local", 1, 4096, None),
    }


def test_several_clouds(one_site: Site) -> None:
    assert requests(one_site, with_batch(HYBRID_CLOUD)) == {
        "start": ("local", 1, 4096, None),
        "prepare_data": ("kubernetes", 1, 16000, None),
        "train": ("batch", 1, 4096, 2),
        "join": ("batch", 1, 16000, None),
        "end": ("local", 1, 4096, None),
    }
    table = one_site.run_flow("flow.py", "resources").succeeded().stdout
    assert "train: on batch\n" in table
    assert "queue   gpu-queue" in table
    assert "start, end: on this machine\n" in table


def test_all_of_it_on_this_machine(one_site: Site) -> None:
    for country in ("US", "BR", "IT"):
        one_site.write(f"{country}.data", f"data of {country}\n")
    finished = one_site.run_flow(with_batch(HYBRID_CLOUD), "run", "--without", "kubernetes,batch").succeeded()
    assert "Without @kubernetes: prepare_data.\nWithout @batch: train, join.\n" in finished.stderr
    assert finished.data.best in ("US", "BR", "IT")
    assert "produced best results" in finished.stdout
