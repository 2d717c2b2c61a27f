import os
import signal
import time

from metaflow import FlowSpec, Parameter, catch, current, retry, step


class AttemptsFlow(FlowSpec):
    """A foreach whose elements fail as `mode` says."""

    mode = Parameter("mode", default="")

    @step
    def start(self):
        self.items = [0, 1, 2]
        self.next(self.work, foreach="items")

    @catch(var="caught")
    @retry(times=1, minutes_between_retries=0)
    @step
    def work(self):
        if self.mode == "retry" and self.input < 2 and current.retry_count == 0:
            raise ValueError("the first attempt fails")
        if self.mode == "catch" and self.input == 1:
            raise ValueError("every attempt fails")
        if self.mode == "cancel" and self.input == 2:
            os.kill(int(os.environ["ENGINE_PID"]), signal.SIGINT)
            time.sleep(600)  # it is ended long before
        self.next(self.join)

    @step
    def join(self, inputs):
        self.mode_of_all = inputs[0].mode
        if self.mode_of_all == "failure":
            raise ValueError("the run fails")
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    AttemptsFlow()
