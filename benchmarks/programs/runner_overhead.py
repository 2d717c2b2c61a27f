"""Time what `Runner` adds to a run of `hello.py`: the command line and the Runner in turn, the best of each."""

import subprocess
import sys
import time
from pathlib import Path

from metaflow import Runner

FLOW = str(Path(__file__).with_name("hello.py"))
TURNS = 5


def by_command():
    subprocess.run([sys.executable, FLOW, "run"], check=True, capture_output=True)


def by_runner():
    with Runner(FLOW, show_output=False) as runner:
        assert runner.run().status == "successful"


def timed(function):
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


if __name__ == "__main__":
    pairs = [(timed(by_command), timed(by_runner)) for _ in range(TURNS)]
    command, runner = (min(times) for times in zip(*pairs, strict=True))
    print("seconds", max(runner - command, 0.001))  # on a busy machine it may seem to be faster
