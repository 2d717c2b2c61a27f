from metaflow import FlowSpec, JSONType, Parameter, step


class SwitchFlow(FlowSpec):
    """A switch whose keys are of every plain type, and whose branches meet again without a join."""

    value = Parameter("value", type=JSONType, default='"word"')

    @step
    def start(self):
        self.choice = self.value
        self.next(
            {"word": self.text, 3: self.number, True: self.truth, 2.5: self.fraction},
            condition="choice",
        )

    @step
    def text(self):
        self.went = "text"
        self.next(self.meet)

    @step
    def number(self):
        self.went = "number"
        self.next(self.more)

    @step
    def more(self):
        self.went += ">more"
        self.next(self.meet)

    @step
    def truth(self):
        self.went = "truth"
        self.next(self.meet)

    @step
    def fraction(self):
        self.went = "fraction"
        self.next(self.meet)

    @step
    def meet(self):
        self.kept = (self.went, self.choice)
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    SwitchFlow()
