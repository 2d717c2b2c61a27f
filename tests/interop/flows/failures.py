"""Tasks that fail once, that fail for good and are caught, and one that ends the run."""

import os
import signal
import time

from metaflow import FlowSpec, Parameter, catch, current, retry, step, timeout


class FailuresFlow(FlowSpec):
    ends = Parameter("ends", default="well")

    @step
    def start(self):
        self.kinds = [f"{when} {kind}" for when in ("once", "always") for kind in ("raised", "slow", "killed", "gone")]
        self.next(self.work, foreach="kinds")

    @catch(var="failure", print_exception=False)
    @retry(times=1, minutes_between_retries=0)
    @timeout(seconds=12)  # of a task that is not slow, the original uses up some on a busy machine
    @step
    def work(self):
        when, kind = self.input.split()
        self.before = current.retry_count
        print("attempt", current.retry_count, flush=True)
        if when == "always" or current.retry_count == 0:
            if kind == "raised":
                raise ValueError("bad")
            if kind == "slow":
                time.sleep(60)
            if kind == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            if kind == "gone":
                os._exit(3)
        self.after = 1
        self.next(self.join)

    @step
    def join(self, inputs):
        self.failed = [one.input for one in inputs if one.failure]
        self.next(self.end)

    @retry(times=1, minutes_between_retries=0)
    @step
    def end(self):
        if self.ends == "badly":
            raise KeyError("for good")


if __name__ == "__main__":
    FailuresFlow()
