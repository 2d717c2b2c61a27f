"""What the tasks of a flow did, on paper: each notes that it ran, and fails where the test says so."""

import os
import pathlib
import time

from metaflow import current


def note(flow, turn=None):
    """Write the task's label, step[place]#turn, to the file `ran`; raise if it stands in the file `fails`."""
    place = ",".join(str(index) for index, _, _ in flow.foreach_stack())
    flow.label = current.step_name + (f"[{place}]" if place else "") + (f"#{turn}" if turn else "")
    with open("ran", "a") as file:
        file.write(f"{flow.label}\n")
    print("task", flow.label, flush=True)
    time.sleep(float(os.environ.get("PAUSE", "0")))
    if os.path.exists("fails") and flow.label in pathlib.Path("fails").read_text().split():
        raise ValueError(f"{flow.label} was asked to fail")
