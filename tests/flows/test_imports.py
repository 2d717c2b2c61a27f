"""Where the modules come from that a flow imports: every layout that Python takes, in the tasks as in the launcher."""

from __future__ import annotations

import sys
from zipfile import ZipFile

import pytest

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
