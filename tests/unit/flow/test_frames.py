"""The place of a task in the loops around it."""

from __future__ import annotations

import pickle
import sys

from metaflow.flow.frames import ForeachFrame, PicklableFrames, place_in


def test_the_place_names_index_and_element_of_each_loop() -> None:
    outer = ForeachFrame("fit", "models", 3, 2, "gradient\nboosting")
    inner = ForeachFrame("fold", "folds", 5, 0, None)
    assert place_in([]) == ""
    assert place_in([outer]) == "models[2] = gradient boosting"
    assert place_in([outer, inner]) == "models[2] = gradient boosting, folds[0]"


def test_frames_can_be_pickled_as_long_as_anybody_wants_to() -> None:
    main = vars(sys.modules["__main__"])
    before = main.get("ForeachFrame")
    frame = ForeachFrame("fit", "models", 3, 2, "x")
    first, second = PicklableFrames(), PicklableFrames()
    first.__enter__()
    second.__enter__()
    first.__exit__()  # of another thread
    assert pickle.loads(pickle.dumps(frame)) == frame
    second.__exit__()
    assert main.get("ForeachFrame") is before
