import sys

from metaflow import FlowSpec, step


class TalkingFlow(FlowSpec):
    """A flow that talks."""

    @step
    def start(self):
        """Say hello."""
        print("hello from start")
        print("a complaint", file=sys.stderr)
        self.answer = 42
        self.letters = ["a", "b"]
        self.next(self.work, foreach="letters")

    @step
    def work(self):
        print(f"letter {self.input}")
        self.doubled = self.input * 2
        self.next(self.join)

    @step
    def join(self, inputs):
        self.words = [one.doubled for one in inputs]
        self.next(self.end)

    @step
    def end(self):
        print("grüße ☃")
        print("no newline at the end", end="")


if __name__ == "__main__":
    TalkingFlow()
