"""``status``: what it says of a run that is not there."""

from __future__ import annotations

import pytest

from metaflow.cli.status import status
from metaflow.exception import CommandException

from ..client.written import Place
from .session import invoke


@pytest.mark.parametrize("asked", ["999", "Numbers/999", "a/b", "x\0y", "9" * 300, "9" * 5000])
def test_of_a_run_that_is_not_there_the_others_are_named(asked: str, place: Place) -> None:
    run = place.foreach()
    with pytest.raises(CommandException, match="There is no run") as caught:
        invoke(place, status, asked)
    if asked.endswith("/999") or asked == "999":
        assert caught.value.hint == f"existing runs: {run.id}"
