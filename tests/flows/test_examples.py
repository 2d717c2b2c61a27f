"""The examples run as their first lines say, and what they left can be read back.

As most people run them: here a new interpreter for each task would spend its time on imports.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest

from support.site import Site

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def examples(one_site: Site) -> Site:
    """A site with a copy of the examples."""
    shutil.copytree(
        EXAMPLES, one_site.directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*", "__pycache__")
    )
    return one_site


@pytest.mark.slow
def test_digits_finds_a_good_model_and_its_result_is_read_back(examples: Site) -> None:
    finished = examples.run_flow("digits.py", "run", "--test-share", "0.5", "--max-workers", "2").succeeded()
    end = finished.data
    assert len(list(finished.run["train"])) == len(end.board) == 10
    assert end.accuracy > 0.95
    assert end.board[0][1:] == (end.best_kind, end.best_options)
    assert f"Unseen digits read correctly: {end.accuracy:.1%} of 899" in finished.output

    told = examples.run_flow("read_back.py").succeeded().stdout
    assert told.startswith(finished.run.pathspec)
    assert f"{end.accuracy:.1%}" in told


def test_wine_joins_what_its_branches_found(examples: Site) -> None:
    finished = examples.run_flow("wine.py", "run", "--top", "1").succeeded()
    end = finished.data
    assert end.ranked_pairs[0][:2] == ("total_phenols", "flavanoids")
    assert end.ranked_columns[0][0] == "flavanoids"
    assert finished.stdout.count("total_phenols and flavanoids") == 1
    assert "proline" not in finished.stdout  # second of its list


def test_newton_repeats_its_step_until_the_guess_stands_still(examples: Site) -> None:
    finished = examples.run_flow("newton.py", "run", "--value", "1000", "--degree", "3").succeeded()
    assert math.isclose(finished.data.guess, 10)
    rounds = sorted(task["round"].data for task in finished.run["improve"])
    assert rounds == list(range(1, finished.data.round + 1))
    assert "too_slow" not in finished.run


def test_newton_gives_up(examples: Site) -> None:
    finished = examples.run_flow("newton.py", "run", "--max-rounds", "2").succeeded()
    assert len(list(finished.run["improve"])) == 2
    assert "too_slow" in finished.run


def test_word_count_counts_the_text_that_comes_with_it(examples: Site) -> None:
    finished = examples.run_flow("word_count.py", "run").succeeded()
    assert finished.data.words.most_common(2) == [("that", 13), ("here", 8)]
    assert len(list(finished.run["count"])) == 3


def test_word_count_counts_another_text(examples: Site) -> None:
    examples.write("other.txt", "one two two\n\nthree two one\n")
    finished = examples.run_flow("word_count.py", "run", "--text", "other.txt", "--longer-than", "0").succeeded()
    assert finished.data.words == {"two": 3, "one": 2, "three": 1}
    assert finished.data.text == "one two two\n\nthree two one\n"


def test_big_sum_runs_here_whatever_memory_it_asks_for(examples: Site) -> None:
    finished = examples.run_flow("big_sum.py", "run", "--size", "500").succeeded()
    assert math.isclose(finished.data.sum, 125_000, rel_tol=0.01)
    assert f"The sum is {finished.data.sum:f}." in finished.stdout
