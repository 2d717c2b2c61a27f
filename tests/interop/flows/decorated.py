"""Built-in decorators as a user may write them, bare and with attributes: what is recorded of each."""

from metaflow import FlowSpec, catch, environment, exit_hook, resources, retry, schedule, step, timeout


def ended():
    pass


@schedule
@exit_hook(on_success=[ended])
class DecoratedFlow(FlowSpec):
    @retry
    @catch
    @resources
    @environment
    @step
    def start(self):
        self.next(self.work)

    @retry(times=1, minutes_between_retries=0)
    @catch(var="failure", print_exception=False)
    @resources(cpu=2, memory=300, gpu=1, shared_memory=64)
    @environment(vars={"A": "b"})
    @timeout(minutes=5)
    @step
    def work(self):
        self.next(self.end)

    @timeout(seconds=100, hours=1)
    @step
    def end(self):
        pass


if __name__ == "__main__":
    DecoratedFlow()
