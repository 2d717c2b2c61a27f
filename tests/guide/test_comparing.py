"""How pages are tried: what counts as the same output, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.guide import Page
from support.site import Site

ONE, OTHER = "1796077028463687", "1796077028463688"


def tried(site: Site, page: str) -> None:
    path = site.write("page.md", page)
    Page(path, site).run()


def printed(*lines: str) -> str:
    """Return a file with these lines, and the command that prints it."""
    return '```text title="out"\n' + "\n".join(lines) + "\n```\n\n```console\n$ cat out\n"


TASKS = [f"[{ONE}/a/2 (pid 1)] x", f"[{ONE}/b/3 (pid 2)] y"]
SAME = {
    "ids": ([f"run {ONE}", f"again {ONE}"], [f"run {OTHER}", f"again {OTHER}"]),
    "times": (["2026-11-30 22:09:44.560 done in 0.57 s"], ["done in 12 s"]),
    "order of tasks": ([f"[{ONE}/a/2 (pid 1)] x", f"[{ONE}/b/3 (pid 2)] y"],) * 2,
    "tasks": (
        [f"[{ONE}/a/2 (pid 1)] x", f"[{ONE}/b/3 (pid 2)] y"],
        [f"[{ONE}/b/2 (pid 9)] y", f"[{ONE}/a/3 (pid 8)] x"],
    ),
    "gaps": (["a", "b", "c", "d"], ["...", "b", "...", "d"]),
    "carets": (
        [f"2026-11-30 22:09:44.560 [{ONE}/a/2 (pid 1)]   1 / 0", f"[{ONE}/a/2 (pid 1)]   ~~^~~"],
        [f"[{OTHER}/a/2 (pid 1)]   1 / 0"],
    ),
}
OTHERS = {
    "another line": (["a"], ["b"]),
    "a line more": (["a", "b"], ["a"]),
    "a line less": (["a"], ["a", "b"]),
    "another order": (["a", "b"], ["b", "a"]),
    "another order in a gap": (["a", "b"], ["...", "b", "a", "..."]),
    "another number": (["12 rows"], ["13 rows"]),
    "another task's line": ([f"[{ONE}/a/2 (pid 1)] x"], [f"[{ONE}/b/2 (pid 1)] x"]),
    "a task's line twice": ([f"[{ONE}/a/2 (pid 1)] x"], [f"[{ONE}/a/2 (pid 1)] x"] * 2),
    "one run for two": ([f"run {ONE}", f"again {OTHER}"], [f"run {ONE}", f"again {ONE}"]),
}


@pytest.mark.parametrize(("out", "shown"), SAME.values(), ids=SAME)
def test_the_same_output(one_site: Site, out: list[str], shown: list[str]) -> None:
    tried(one_site, printed(*out) + "\n".join(shown) + "\n```\n")


@pytest.mark.parametrize(("out", "shown"), OTHERS.values(), ids=OTHERS)
def test_another_output(one_site: Site, out: list[str], shown: list[str]) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:[0-9]+: another output"):
        tried(one_site, printed(*out) + "\n".join(shown) + "\n```\n")


BLOCKS = {
    "an exit status that is not told": "```console\n$ exit 3\n```\n",
    "one that is another": "```console status=2\n$ exit 3\n```\n",
    "lines that are not in the file": '```text title="a"\nx\n```\n\n```text part="a"\ny\n```\n',
    "a script that fails": "```python\n1 / 0\n```\n",
    "another value": "```pycon\n>>> 1 + 1\n3\n```\n",
    "what cannot be tried": "```rust\nfn main() {}\n```\n",
    "output without a command": "```console\nhello\n```\n",
}


@pytest.mark.parametrize("page", BLOCKS.values(), ids=BLOCKS)
def test_a_block_that_does_not_hold(one_site: Site, page: str) -> None:
    with pytest.raises(AssertionError, match=r"page\.md:"):
        tried(one_site, page)


def test_an_id_that_is_typed_is_that_of_the_run_here(one_site: Site) -> None:
    text = printed(f"run {ONE}") + f"run {OTHER}\n$ echo {OTHER} | tr 0-9 a-j\nbhjgahhaciegdgih\n```\n"
    tried(one_site, text)


def test_what_is_printed_is_written_into_the_page(one_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("support.guide._UPDATES", True)
    tried(one_site, "```console\n$ echo one\nother\n$ echo two\n```\n\nText.\n")
    assert Path(one_site.directory / "page.md").read_text() == (
        "```console\n$ echo one\none\n$ echo two\ntwo\n```\n\nText.\n"
    )
