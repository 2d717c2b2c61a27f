"""A step with fifty small artifacts, and one that reads them."""

from metaflow import FlowSpec, step


class ManyArtifactsBench(FlowSpec):
    @step
    def start(self):
        for number in range(50):
            setattr(self, f"value_{number}", f"value {number}")
        self.next(self.end)

    @step
    def end(self):
        assert all(getattr(self, f"value_{number}") == f"value {number}" for number in range(50))
        print("all values agree")


if __name__ == "__main__":
    ManyArtifactsBench()
