"""Where the modules come from that a flow imports: every layout that Python takes, in the tasks as in the launcher."""

from __future__ import annotations

import sys
from zipfile import ZipFile

import pytest

from metaflow.shadows import LIBRARIES
from support.interpreter import PYTHON
from support.site import Site

LAYOUTS = """
    import os
    import sys

    from metaflow import FlowSpec, step

    HERE = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, os.path.join(HERE, "repo", "src"))
    sys.path.append(os.path.join(HERE, "library.zip"))
    sys.path.append(os.path.join(HERE, "far", "path"))

    from ns2.deeper.m import V
    from repo_package.sub import NAME
    from zipped.deep import Z
    from linked.m import L


    class LayoutFlow(FlowSpec):
        @step
        def start(self):
            from ns2.late.er import W
            import layouts
            import installed_by_path

            self.found = [V, W, NAME, Z, L, layouts.OWN, installed_by_path.P]
            self.next(self.end)

        @step
        def end(self):
            pass


    if __name__ == "__main__":
        LayoutFlow()
"""


def place_layouts(site: Site) -> None:
    """Write `LAYOUTS` and what it imports."""
    site.write("layouts.py", LAYOUTS)
    site.write("ns2/deeper/m.py", "from ns2.other import X\nV = X + 1\n")
    site.write("ns2/other.py", "X = 1\n")
    site.write("ns2/late/er.py", "W = 3\n")
    site.write("repo/src/repo_package/__init__.py", "")
    site.write("repo/src/repo_package/sub.py", "from . import name\nNAME = name.NAME\n")
    site.write("repo/src/repo_package/name.py", "NAME = 4\n")
    site.write("far/away/m.py", "L = 6\n")
    site.write("far/path/installed_by_path.py", "P = 8\n")
    site.write("layouts/__init__.py", "OWN = 7\n")  # a package of the flow file's own name
    (site.directory / "linked").symlink_to("far/away")
    with ZipFile(site.directory / "library.zip", "w") as archive:
        archive.writestr("zipped/__init__.py", "")
        archive.writestr("zipped/deep.py", "from zipped.deeper.m import Z\n")
        archive.writestr("zipped/deeper/__init__.py", "")
        archive.writestr("zipped/deeper/m.py", "Z = 5\n")


def test_modules_are_found_in_every_layout(site: Site) -> None:
    place_layouts(site)
    finished = site.run_flow("layouts.py", "run").succeeded()
    assert finished.values("start")["found"] == [2, 3, 4, 5, 6, 7, 8]
    listed = site.run_flow("layouts.py", "package", "list", "--archive").succeeded().stdout.split()
    assert {
        "ns2/deeper/m.py",
        "ns2/late/er.py",
        "linked/m.py",
        "layouts/__init__.py",
        ".mf_code/repo_package/name.py",
        ".mf_code/zipped/__init__.py",
        ".mf_code/zipped/deeper/m.py",
        ".mf_code/installed_by_path.py",
    } <= set(listed)


@pytest.mark.ours
def test_a_fault_of_the_process_that_starts_tasks_is_told_with_its_exception(one_site: Site) -> None:
    """Whatever it is: here a search for modules that a program of the interpreter's start has broken."""
    one_site.write(
        "broken/sitecustomize.py",
        """
        import sys

        if "-c" in sys.orig_argv:  # the process that tasks are forked from
            import gc

            def freeze():
                raise KeyError("ns2")

            gc.freeze = freeze
        """,
    )
    environment = {"PYTHONPATH": str(one_site.directory / "broken")}
    failed = one_site.run_flow("linear.py", "run", env=environment, command=[sys.executable]).failed()
    assert "the process that starts local tasks failed: KeyError: 'ns2' (" in failed.stderr
    assert "was killed" not in failed.output
    assert "Traceback" not in failed.output


LOADED_AT_START = {"abc", "codecs", "encodings", "genericpath", "io", "os", "posixpath", "site", "stat"}
FROZEN = {"ntpath", "runpy", "zipimport"}
NEEDED_BY_PYTHON = {"copyreg", "distutils", "importlib", "this"}
HIDDEN = sorted(
    name
    for name in sys.stdlib_module_names | LIBRARIES | {"requests", "kubernetes", "numpy"}
    if not name.startswith("_")
    and name not in {*sys.builtin_module_names, *LOADED_AT_START, *FROZEN, *NEEDED_BY_PYTHON}
)

HIDING = """
    from metaflow import FlowSpec, current, step

    NAMES = open("names").read().split()


    def whose():
        return {name: getattr(__import__(name), "WHOSE", "") for name in NAMES}


    FOUND = whose()
    import secrets, click, http


    class HidingFlow(FlowSpec):
        @step
        def start(self):
            import queue, random as r, email

            self.written = [secrets.WHOSE, click.WHOSE, http.WHOSE, queue.WHOSE, r.WHOSE, email.WHOSE]
            self.found = [FOUND, whose()]
            self.value = secrets.Value()
            self.items = [1, 2]
            self.next(self.middle, foreach="items")

        @step
        def middle(self):
            self.next(self.join)

        @step
        def join(self, inputs):
            self.merge_artifacts(inputs)
            self.next(self.end)

        @step
        def end(self):
            self.same = type(self.value) is secrets.Value and self.value.x == 1


    if __name__ == "__main__":
        HidingFlow()
"""


def place_hiding(site: Site) -> None:
    """Write `HIDING`, and beside it a module of the name of each one that we, or the standard library, might import."""
    site.write("hiding.py", HIDING)
    site.write("names", " ".join(HIDDEN))
    for name in HIDDEN:
        package = name in ("http", "email", "logging", "collections", "kubernetes", "rich")
        text = "WHOSE = 'mine'\n\n\nclass Value:\n    x = 1\n"
        site.write(f"{name}/__init__.py" if package else f"{name}.py", text)


@pytest.mark.ours
def test_modules_of_the_user_that_are_named_like_ours_are_found_by_the_user_and_by_nobody_else(site: Site) -> None:
    """All of them at once, in interpreters that have loaded nothing yet."""
    place_hiding(site)
    finished = site.run_flow("hiding.py", "run", command=[PYTHON], within=60).succeeded()
    start = {name: finished.task("start")[name].data for name in ("written", "found")}
    assert start["written"] == ["mine"] * 6
    assert [{name for name, whose in found.items() if whose != "mine"} for found in start["found"]] == [set()] * 2
    assert finished.task("end")["same"].data
    assert "Error" not in "".join(line for line in finished.output.splitlines() if "threading" not in line)
    if site.mode == "fork":
        for words in (
            "show",
            f"logs {finished.run_id}/start",
            f"dump {finished.run_id}/start",
            "status",
            "package list",
        ):
            site.run_flow("hiding.py", *words.split(), command=[PYTHON]).succeeded()


@pytest.mark.parametrize("isolation", ["fork", "exec"])
def test_a_module_named_as_one_that_the_kernel_s_calls_import(one_site: Site, isolation: str) -> None:
    one_site.write("resource.py", "WHOSE = 'mine'\n")
    source = """
        from metaflow import FlowSpec, step


        class ResourceFlow(FlowSpec):
            @step
            def start(self):
                import resource

                self.whose = resource.WHOSE
                self.next(self.end)

            @step
            def end(self):
                pass


        if __name__ == "__main__":
            ResourceFlow()
    """
    finished = one_site.run_flow(source, "run", env={"METAFLOW_LOCAL_ISOLATION": isolation}).succeeded()
    assert finished.data.whose == "mine"
