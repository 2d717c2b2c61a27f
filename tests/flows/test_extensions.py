"""Decorators and storages that another distribution adds, in real runs."""

from __future__ import annotations

from textwrap import dedent

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
    from metaflow import FlowSpec, installed, shout, step


    class Extended(FlowSpec):
        @shout(word="ho")
        @step
        def start(self):
            self.scans = installed.scan.cache_info().misses
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


HOOKED = """
    from metaflow.decorators import StepDecorator


    class Hooked(StepDecorator):
        name = "hooked"
        defaults = {"forgive": False}

        def init(self):
            self.told = ["init"]

        def step_init(self, flow, graph, step_name, decorators, environment, flow_datastore, logger):
            self.told.append(f"{step_name} of {type(flow).__name__}")

        def task_pre_step(self, step_name, task_datastore, metadata, run_id, task_id, flow, graph, retry_count,
                          max_user_code_retries, ubf_context, inputs):
            self.told.append(f"pre {task_id} {retry_count}/{max_user_code_retries}")
            self.told.append(None if inputs is None else [each.x for each in inputs])

        def task_decorate(self, step_func, flow, graph, retry_count, max_user_code_retries, ubf_context):
            def wrapped(*inputs):
                self.told.append(f"around {len(inputs)}")
                step_func(*inputs)
            return wrapped

        def task_post_step(self, step_name, flow, graph, retry_count, max_user_code_retries):
            self.told.append("post")

        def task_exception(self, exception, step_name, flow, graph, retry_count, max_user_code_retries):
            self.told.append(str(exception))
            return self.attributes["forgive"]

        def task_finished(self, step_name, flow, graph, is_task_ok, retry_count, max_user_code_retries):
            print("TOLD", step_name, *self.told, is_task_ok, sep="|")
"""
HOOKED_FLOW = """
    from metaflow import FlowSpec, hooked, step


    class HookedFlow(FlowSpec):
        @hooked(forgive=True)
        @step
        def start(self):
            self.items = [7]
            if not hasattr(self, "y"):
                raise ValueError("forgiven")
            self.next(self.work)

        @step
        def work(self):
            self.xs = [3]
            self.next(self.many, foreach="xs")

        @step
        def many(self):
            self.x = self.input
            self.next(self.end)

        @hooked
        @step
        def end(self, inputs):
            pass


    if __name__ == "__main__":
        HookedFlow()
"""


@pytest.mark.ours
def test_a_decorator_made_for_metaflow_is_told_as_there(one_site: Site) -> None:
    plugins = one_site.directory / "installed" / "metaflow_extensions" / "acme" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "hooked.py").write_text(dedent(HOOKED))
    (plugins / "__init__.py").write_text("STEP_DECORATORS_DESC = [('hooked', '.hooked.Hooked')]\n")
    environment = {"PYTHONPATH": str(one_site.directory / "installed")}
    finished = one_site.run_flow(HOOKED_FLOW, "run", env=environment).succeeded()
    told = [line.partition("TOLD|")[2] for line in finished.stdout.splitlines() if "TOLD|" in line]
    assert told == [
        "start|init|start of HookedFlow|pre 1 0/0|None|around 0|forgiven|True",
        "end|init|end of HookedFlow|pre 4 0/0|[3]|around 1|post|True",
    ]
