from __future__ import annotations

import pytest

from metaflow.exception import CommandException
from metaflow.serve.tokens import ALL, Grant, Tokens, read_tokens


def test_a_file_has_a_token_a_line_and_the_projects_that_it_is_limited_to() -> None:
    lines = ["# ours", "", "a" * 16, "b" * 16 + " churn fraud  # of both teams"]
    assert read_tokens(lines, "file") == {"a" * 16: ALL, "b" * 16: Grant(frozenset({"churn", "fraud"}))}
    with pytest.raises(CommandException, match="There is no token in file"):
        read_tokens(["# nothing"], "file")


@pytest.mark.parametrize("token", ["short", "a" * 15, "ö" * 20, "with a space in it", "line\n" * 9])
def test_what_cannot_be_a_token(token: str) -> None:
    with pytest.raises(CommandException, match="at least 16 characters"):
        Tokens({token: ALL})
