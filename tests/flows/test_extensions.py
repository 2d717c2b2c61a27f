"""Decorators and storages that another distribution adds, in real runs."""

from __future__ import annotations

import pytest

from support.distributions import install
from support.site import Site

EXTENSION = """
    from metaflow.flow.decorator import StepDecorator
    from metaflow.store.local import LocalStorage


    class Shout(StepDecorator):
        name = "shout"
        defaults = {"word": "hey"}

        def around(self, context, run):
            print(self.attributes["word"], context.step)
            run()


    class Disk(LocalStorage):
        kind = "disk"
"""
FLOW = """
    from metaflow import FlowSpec, extensions, shout, step


    class Extended(FlowSpec):
        @shout(word="ho")
        @step
        def start(self):
            self.scans = extensions.every.cache_info().misses
            self.next(self.end)

        @step
        def end(self):
            pass


    if __name__ == "__main__":
        Extended()
"""


@pytest.mark.ours
def test_an_extension_from_its_entry_points(site: Site) -> None:
    installed = site.directory / "installed"
    install(
        installed,
        "shouting",
        "1.2",
        EXTENSION,
        {
            "millrace.step_decorators": {"shout": "shouting:Shout", "broken": "shouting:Nothing"},
            "millrace.datastores": {"disk": "shouting:Disk"},
        },
    )
    environment = {"PYTHONPATH": str(installed)}
    finished = site.run_flow(FLOW, "run", "--with", "shout:word=also", env=environment).succeeded()
    assert "ho start" in finished.stdout
    assert "also end" in finished.stdout
    assert finished.data.scans == 0
    listed = site.python(
        "import sys; from metaflow.cli.console import main; sys.argv[1:] = ['extensions']; main()", env=environment
    )
    assert "step decorator 'shout'  shouting 1.2  shouting:Shout\n    ready\n" in listed.stdout
    assert "cannot be imported: AttributeError: module 'shouting' has no attribute 'Nothing'" in listed.stdout
    elsewhere = ["--datastore", "disk", "--datastore-root", str(site.directory / "disk")]
    site.run_flow(FLOW, *elsewhere, "run", env=environment).succeeded()
    assert list((site.directory / "disk" / "Extended").rglob("0.DONE.lock"))
