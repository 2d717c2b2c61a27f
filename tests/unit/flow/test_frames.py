"""The place of a task in the loops around it."""

from __future__ import annotations

from metaflow.flow.frames import ForeachFrame, place_in


def test_the_place_names_index_and_element_of_each_loop() -> None:
    outer = ForeachFrame("fit", "models", 3, 2, "gradient\nboosting")
    inner = ForeachFrame("fold", "folds", 5, 0, None)
    assert place_in([]) == ""
    assert place_in([outer]) == "models[2] = gradient boosting"
    assert place_in([outer, inner]) == "models[2] = gradient boosting, folds[0]"
