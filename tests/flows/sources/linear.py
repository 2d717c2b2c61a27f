from metaflow import FlowSpec, step


class LinearFlow(FlowSpec):
    """A line of steps."""

    constant = "of the class"

    def double(self, value):
        return 2 * value

    @step
    def start(self):
        """Where it begins."""
        local = 41
        self.answer = local + 1
        self.history = ["start"]
        self.gone = "deleted before the end"
        self.changed = "first"
        del self.gone
        self.next(self.middle)

    @step
    def middle(self):
        self.doubled = self.double(self.answer)
        self.history = [*self.history, "middle"]
        self.changed = "second"
        self.had_gone = hasattr(self, "gone")
        self.had_answer = hasattr(self, "answer")
        self.default = getattr(self, "nowhere", "default")
        self.next(self.end)

    @step
    def end(self):
        self.history = [*self.history, "end"]
        self.outside = (self.input, self.index, self.foreach_stack())
        try:
            self.nowhere
        except AttributeError as error:
            self.named = "nowhere" in str(error)
        self.class_value = self.constant
        self.label = f"{self.name}: {self}"


if __name__ == "__main__":
    LinearFlow()
