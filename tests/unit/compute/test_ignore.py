from __future__ import annotations

import pytest

from metaflow.compute.ignore import Ignored


@pytest.mark.parametrize(
    ("pattern", "excluded", "kept"),
    [
        ("big.csv", ["big.csv", "a/big.csv", "a/b/big.csv"], ["big.csv.py", "xbig.csv"]),
        ("*.csv", ["x.csv", "a/x.csv"], ["x.csvs", "csv"]),
        ("/top.py", ["top.py"], ["a/top.py"]),
        ("a/x.py", ["a/x.py"], ["b/a/x.py"]),
        ("a/*.py", ["a/x.py"], ["a/b/x.py"]),
        ("a/**/x.py", ["a/x.py", "a/b/x.py", "a/b/c/x.py"], ["x.py", "b/a/x.py"]),
        ("**/x.py", ["x.py", "a/b/x.py"], ["ax.py"]),
        ("a/**", ["a/x", "a/b/x"], ["b/x"]),
        ("part?.py", ["part1.py"], ["part.py", "part12.py", "part/.py"]),
        ("part[1-3].py", ["part2.py"], ["part4.py"]),
        ("part[!1-3].py", ["part4.py"], ["part2.py"]),
        ("odd[.py", ["odd[.py"], ["odd.py"]),
        ("a+b(c).py", ["a+b(c).py"], ["aab(c).py"]),
        ("  spaced.py  ", ["spaced.py"], []),
    ],
)
def test_patterns(pattern: str, excluded: list[str], kept: list[str]) -> None:
    ignored = Ignored([pattern])
    assert [path for path in excluded if not ignored.verdict(path)] == []
    assert [path for path in kept if ignored.verdict(path) is not None] == []


def test_a_slash_at_the_end_stands_for_directories() -> None:
    ignored = Ignored(["build/"])
    assert ignored.verdict("a/build", directory=True)
    assert ignored.verdict("build") is None


def test_the_last_pattern_that_matches_decides() -> None:
    ignored = Ignored(["*.csv", "!small.csv", "/small.csv"])
    assert ignored.verdict("a/big.csv") is True
    assert ignored.verdict("a/small.csv") is False
    assert ignored.verdict("small.csv") is True


@pytest.mark.parametrize("line", ["", "   ", "# words", "/", "!", "!/"])
def test_lines_that_say_nothing(line: str) -> None:
    assert Ignored([line]).verdict("x") is None
