"""A flow that kills the process it runs in when that is about to make its n-th call that changes a file.

MOMENT_IN_TASK counts from the end of the step `work`; MOMENT_IN_ENGINE from the start of the engine.
"""

import os
import signal
import sys
import threading

from metaflow import FlowSpec, step

CALLS = {"open", "write", "writev", "rename", "replace", "link", "unlink", "mkdir", "close", "sendfile"}
COUNT = [0]


def arm(moment):
    def count(frame, event, function):
        if event == "c_call" and function.__name__ in CALLS:
            COUNT[0] += 1
            if COUNT[0] > moment:
                os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(count)
    sys.setprofile(count)


if "run" in sys.argv and "MOMENT_IN_ENGINE" in os.environ:
    arm(int(os.environ["MOMENT_IN_ENGINE"]))


class MinedFlow(FlowSpec):
    @step
    def start(self):
        self.small = "small"
        self.next(self.work)

    @step
    def work(self):
        self.noise = os.urandom(300_000)
        self.text = "compressible " * 50_000
        self.number = 1
        print("before the end", flush=True)
        if "MOMENT_IN_TASK" in os.environ:
            arm(int(os.environ["MOMENT_IN_TASK"]))
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    try:
        MinedFlow()
    finally:
        sys.setprofile(None)
        with open("counts.txt", "a") as file:
            file.write(f"{COUNT[0]}\n")
