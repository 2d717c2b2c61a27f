import os
import sys
import time

from metaflow import FlowSpec, Parameter, card, catch, current, environment, resources, retry, step
from metaflow.cards import Image, Markdown, MetaflowCard, ProgressBar, Table


class Mine(MetaflowCard):
    type = "mine"
    ALLOW_USER_COMPONENTS = True
    RUNTIME_UPDATABLE = True

    def __init__(self, options=None, components=(), graph=None, flow=None):
        self.options, self.components, self.graph = options, components, graph
        self.mode = options.get("mode")
        if self.mode == "construct":
            raise RuntimeError("no such card can be")

    def render(self, task):
        mode = self.mode
        print("the card prints")
        if mode == "raise":
            raise RuntimeError("the card raised")
        if mode == "exit":
            sys.exit("the card left")
        if mode == "die":
            os._exit(9)
        if mode == "hang":
            time.sleep(600)
        if mode == "none":
            return None
        if mode == "fork":
            os.fork()
        return f"<html><body>{task.pathspec} {task['x'].data} {self.components} {sorted(self.graph)}</body></html>"

    def render_runtime(self, task, data):
        return f"<html><body>running {data['user']}</body></html>"

    def refresh(self, task, data):
        if self.mode == "break":
            raise RuntimeError("it cannot be shown now")
        if self.mode == "hang":
            time.sleep(600)
        return {"user": data["user"], "ids": sorted(data["components"])}


CARDS = [Mine]


class Gone:
    def __reduce__(self):
        return sys.exit, ("cannot be loaded",)


class Slow:
    def __repr__(self):
        while True:
            time.sleep(0.1)


class CardsFlow(FlowSpec):
    """A flow with cards."""

    alpha = Parameter("alpha", default=0.5)

    @card
    @environment(vars={"TOKEN": "a secret value"})
    @resources(memory=1234)
    @card(type="blank", id="notes", options={"title": "Notes"})
    @card(type="mine", id="own", options={"a": 1})
    @step
    def start(self):
        """The first step."""
        self.x = [1, 2, 3]
        self.items = ["a", "b"]
        self.gone = Gone()
        current.card["notes"].append(Markdown("# Title"), id="head")
        current.card["notes"].extend([Table([[1, 2]]), Image(b"no image")])
        current.card["own"].append(Markdown("*mine*"), id="m")
        current.card["nowhere"].append(Markdown("lost"))
        current.card["notes"].components["head"].update("# Other title")
        current.card["notes"].components["gone"].update("x")
        self.next(self.live, foreach="items")

    @card(type="blank", refresh_interval=0)
    @card(type="mine", id="own", refresh_interval=0)
    @card(type="mine", id="broken", options={"mode": "break"})
    @step
    def live(self):
        from metaflow.cards import get_cards

        self.x = self.input
        bar = ProgressBar(max=2)
        current.card["own"].append(bar, id="bar")
        self.seen = []
        for number in range(3):
            bar.update(number)
            current.card["own"].refresh({"turn": number}, force=True)
            deadline = time.time() + 60
            while time.time() < deadline:
                data = [each.get_data() for each in get_cards(current.pathspec, id="own")]
                if data and data[0] and data[0]["data"].get("user") == {"turn": number}:
                    self.seen.append((data[0]["reload_token"], data[0]["data"]["ids"]))
                    break
                time.sleep(0.02)
        current.card["broken"].refresh()
        while not [each for each in get_cards(current.pathspec, id="broken") if each.get_data()]:
            time.sleep(0.02)
        (broken,) = get_cards(current.pathspec, id="broken")
        self.broken = broken.get()
        self.next(self.join)

    @card
    @catch(var="failure")
    @retry(times=1)
    @step
    def join(self, inputs):
        self.attempt = current.retry_count
        self.x = 0
        print("a secret </script>")
        if self.x == 0:
            raise ValueError("the step <b>failed</b>")
        self.next(self.bad)

    @card(type="mine", id="raises", options={"mode": "raise"})
    @card(type="mine", id="constructed", options={"mode": "construct"})
    @card(type="mine", id="forks", options={"mode": "fork"})
    @card(type="mine", id="exits", options={"mode": "exit"})
    @card(type="mine", id="dies", options={"mode": "die"})
    @card(type="mine", id="hangs", options={"mode": "hang"}, timeout=1)
    @card(type="mine", id="none", options={"mode": "none"}, save_errors=False)
    @card(type="unknown", id="unknown")
    @card(id="slow", timeout=1)
    @step
    def bad(self):
        self.x = 1
        self.slow = Slow()
        self.next(self.end)

    @step
    def end(self):
        print("has card:", hasattr(current, "card"))


if __name__ == "__main__":
    CardsFlow()
