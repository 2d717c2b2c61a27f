"""Commands in forks of a warm interpreter, as most tests run them: their tasks are as those of `python flow.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.site import Site

FLOW = """
    import os, random, signal, sys
    import metaflow
    from metaflow import FlowSpec, step

    class WarmFlow(FlowSpec):
        @step
        def start(self):
            mine = lambda text: text.replace(os.getcwd(), "HERE")
            self.modules = {name: mine(str(getattr(module, "__file__", ""))) for name, module in sys.modules.items()}
            self.names = sorted(vars(metaflow))
            self.path = [mine(each) for each in sys.path]
            self.finders = [getattr(each, "__name__", type(each).__name__) for each in sys.meta_path]
            self.interpreter = [str(sys.flags), sys.executable, sys.excepthook is sys.__excepthook__]
            self.environment = {name: mine(os.environ[name]) for name in os.environ if name != "METAFLOW_RUN_ID"}
            streams = (sys.stdin, sys.stdout, sys.stderr)
            self.streams = [(each.encoding, each.errors, each.mode, each.name, each.line_buffering) for each in streams]
            self.signals = [str(signal.getsignal(number)) for number in signal.valid_signals() if number < 32]
            self.descriptors = sorted(os.listdir("/proc/self/fd"), key=int)
            self.relations = (os.getpgid(0) == os.getpid(), os.getsid(0) == os.getsid(os.getppid()))
            self.drawn = random.random()
            self.next(self.end)

        @step
        def end(self):
            pass

    if __name__ == "__main__":
        WarmFlow()
    """


def test_a_task_is_as_that_of_an_interpreter_that_starts(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    for name, is_warm in ("warm", True), ("again", True), ("cold", False):
        (tmp_path / name).mkdir()
        site = Site(tmp_path / name, "fork", warm=is_warm)
        site.mark = "same"
        values = site.run_flow(FLOW, "run").succeeded().values("start")
        seen.append({name: value for name, value in values.items() if not name.startswith("_")})
    drawn = {values.pop("drawn") for values in seen}
    warm, again, cold = seen
    assert len(drawn) == 3
    assert warm == cold
    assert again == cold
