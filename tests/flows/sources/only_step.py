from metaflow import FlowSpec, step


class OnlyStep(FlowSpec):
    @step(start=True, end=True)
    def work(self):
        self.answer = 42


if __name__ == "__main__":
    OnlyStep()
