"""Where the time goes from a remote task's submission to the first line of its step, and what comes after its last.

In the engine, the boot program is replaced by one that does the same and leaves stamps; the clocks of both sides have
to agree, so that this is for a cluster on one machine. Ours only.
"""

import os
import sys
import time

AT_FILE = time.time()

from metaflow import FlowSpec, step  # noqa: E402

AT_IMPORTED = time.time()
STAMPS = "BENCH_STAMPS"

BOOT = """
import time
at = [({submitted!r}, ""), (time.time(), "interpreter")]
import os, sys
source = {source!r}
program = dict(__name__="boot", __builtins__=__builtins__)
exec(compile(source, "boot", "exec"), program)

def stamped(name, call):
    def stamping(*given):
        result = call(*given)
        at.append((time.time(), name))
        os.environ["{variable}"] = repr(at)
        return result
    return stamping

for name, word in (("fetch", "download"), ("unpack", "unpack")):
    program[name] = stamped(word, program[name])
program["main"]()
"""


def traced_argv(python=None):
    """Return the container's command, with stamps."""
    from metaflow.compute.jobs.entry import argv

    source = argv(python)[-1]
    return (python or "python", "-c", BOOT.format(submitted=time.time(), source=source, variable=STAMPS))


def process_start() -> float:
    """Return when this container's first process was executed, to a hundredth of a second."""
    with open("/proc/1/stat") as stat, open("/proc/uptime") as uptime:
        ticks = int(stat.read().rpartition(")")[2].split()[19])
        return time.time() - float(uptime.read().split()[0]) + ticks / os.sysconf("SC_CLK_TCK")


class FirstLineBench(FlowSpec):
    @step
    def start(self):
        now = time.time()
        submitted, *stamps = eval(os.environ[STAMPS])
        parts = {"place and image": process_start() - submitted[0]}
        before = process_start()
        for moment, name in [*stamps, (AT_FILE, "supervisor, fork"), (AT_IMPORTED, "import"), (now, "task")]:
            parts[name] = parts.get(name, 0.0) + moment - before
            before = moment
        self.parts = parts
        self.first_line = now - process_start()
        self.at = time.time()
        self.next(self.end)

    @step
    def end(self):
        first, *_ = eval(os.environ[STAMPS])
        self.parts["last line to next submission"] = first[0] - self.at
        for name, seconds in self.parts.items():
            print(f"part {name}: {seconds:.3f}")
        print(f"first line {self.first_line:.3f} s after the container's start")


if __name__ == "__main__":
    if "step" not in sys.argv[1:]:
        import metaflow.compute.jobs.launcher as launcher

        vars(launcher)["argv"] = traced_argv
    FirstLineBench()
