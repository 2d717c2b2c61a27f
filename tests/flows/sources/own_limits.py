import os

from metaflow import FlowSpec, exit_hook, step


def tell(run):
    print(f"HOOK {run.successful} {run.data.total}")


@exit_hook(on_success=[tell])
class OwnLimits(FlowSpec):
    """Neither its first nor its last step has the name that these usually have."""

    @step(start=True, node_info={"owner": "ann", "sizes": (1, 2)})
    def begin(self):
        self.items = [1, 2]
        self.next(self.work, foreach="items")

    @step
    def work(self):
        self.next(self.gather)

    @step
    def gather(self, inputs):
        self.total = sum(one.input for one in inputs)
        self.next(self.finish)

    @step(end=True)
    def finish(self):
        if "FAIL" in os.environ:
            raise ValueError("once")
        print("finished")


if __name__ == "__main__":
    OwnLimits()
