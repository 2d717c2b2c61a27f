"""Pages of the guide as a reader would work through them: files are written, commands run, outputs compared.

What a fenced block of a page means:

``python title="hello.py"``
    A file, of this or any other language, which later commands find.
``python part="hello.py"``
    Lines of a file that the page has written, or of an example, quoted.
``python``
    A script: it runs as it stands.
``pycon``
    What somebody types into Python, and what is printed.
``console``
    Commands, after ``$``, and all that they print. A line ``...`` stands for any lines. ``status=1`` is the exit
    status of the last command, if that is not 0.

A block with the word ``live`` needs a cluster: only ``make live`` runs it. Two outputs are the same if they differ only
in what differs from run to run (`_VARIES`), and in the order of lines that several tasks have printed. The ids of runs
may differ too, but one that a page shows again, or types into a command, must be the one that it stands for. Start at
`Page.run`.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from markdown_it import MarkdownIt

from support import warm
from support.interpreter import PYTHON
from support.site import Site

PROJECT = Path(__file__).parents[2]
GUIDE = PROJECT / "docs" / "guide"
PAGES = [PROJECT / "README.md", *sorted(GUIDE.glob("*.md"))]
"""What is tried."""

_UPDATES = "MILLRACE_GUIDE_UPDATE" in os.environ
_HOME = "/home/you"
_ANY = "..."
_RUN = re.compile(r"\b1\d{15}\b")
_STAMP = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ", re.MULTILINE)
_TASK = re.compile(r"\[RUN/\w+/\d+ ")
_POINTS = re.compile(r"^([\d:. -]+)?(\[.*\])? *[~^]+ *\n", re.MULTILINE)
"""Below a line of a traceback: versions of Python point differently."""
_VARIES = [
    (re.compile(pattern), stands)
    for pattern, stands in [
        (r"\[RUN/(\w+)/\d+ ", r"[RUN/\1/0 "),
        (r"\(task-id \d+\)", "(task-id 0)"),
        (r"\(pid \d+\)", "(pid 0)"),
        (r"\(pod [a-z0-9-]+\)", "(pod)"),
        (r"\(Batch job [0-9a-f-]{36}\)", "(Batch job)"),
        (r"\b\d+(\.\d+)?( ?)(s|ms|seconds)\b", r"0\2\3"),
        (r"\b\d{4}-\d\d-\d\d( |T)\d\d:\d\d:\d\d(\.\d+)?", "TIME"),
        (r"\bMillrace \d+\.\d+\.\d+", "Millrace"),
        (r"\bpython:3\.\d+", "python:3"),
        (r"0/\d+ nodes are available: .*", "no node is available"),
        (r"the largest, '[^']+', has \d+ MB", "the largest has 0 MB"),
        (r"\bpeak(ed at)? \d+ MB", "peak 0 MB"),
    ]
]


class Block(NamedTuple):
    """A fenced block.

    Attributes
    ----------
    language : str
        Its first word, such as ``console``.
    attributes : dict of str to str
        The others; a word without ``=`` has an empty value.
    text : str
        Its lines.
    line : int
        Of the page, in which its text begins, from 1.
    """

    language: str
    attributes: dict[str, str]
    text: str
    line: int


def blocks_of(text: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    blocks = []
    for token in MarkdownIt().parse(text):
        if token.type == "fence":
            language, *words = shlex.split(token.info) or [""]
            attributes = {name: value for name, _, value in (word.partition("=") for word in words)}
            assert token.map is not None
            blocks.append(Block(language, attributes, token.content, token.map[0] + 2))
    return blocks


class Page:
    """A page that is tried in a directory.

    Parameters
    ----------
    path : Path
        The page.
    site : Site
        The directory; it gets the project's examples, too.
    is_live : bool
        Whether the blocks that are tried are those which need a cluster.
    """

    def __init__(self, path: Path, site: Site, *, is_live: bool = False) -> None:
        self._path = path
        self._site = site
        self._is_live = is_live
        path_of_python = f"{Path(PYTHON).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = {**site.environment, "PATH": path_of_python, "METAFLOW_USER": "you"}
        del self._environment["METAFLOW_LOCAL_ISOLATION"]  # a reader has set nothing
        self._runs: dict[str, str] = {}  # shown on the page → in this directory
        self._changed: dict[int, tuple[int, list[str]]] = {}  # line → number of lines there, and what they should be
        ignored = shutil.ignore_patterns(".*", "__pycache__")
        shutil.copytree(PROJECT / "examples", site.directory / "examples", ignore=ignored)

    def run(self) -> None:
        """Try all blocks; fail at the first that is not as the page says, or rewrite it if that is asked for."""
        try:
            for block in blocks_of(self._path.read_text(encoding="utf-8")):
                try:
                    self._try(block)
                except AssertionError as error:
                    raise AssertionError(f"{self._path.name}:{block.line}: {error}") from None
        finally:
            self._rewrite()

    def _rewrite(self) -> None:
        if self._changed:
            lines = self._path.read_text(encoding="utf-8").split("\n")
            for line, (length, new) in sorted(self._changed.items(), reverse=True):
                lines[line - 1 : line - 1 + length] = new
            self._path.write_text("\n".join(lines), encoding="utf-8")
            self._changed.clear()

    def _try(self, block: Block) -> None:
        if "title" in block.attributes:
            path = self._site.directory / block.attributes["title"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif "part" in block.attributes:
            whole = (self._site.directory / block.attributes["part"]).read_text(encoding="utf-8")
            assert block.text in whole, f"{block.attributes['part']} has no such lines"
        elif block.language.startswith("{") or ("live" in block.attributes) != self._is_live:
            pass
        elif block.language == "python":
            path = self._site.write(f"block_{block.line}.py", block.text)
            status, output = self._python([path.name], self._environment)
            assert status == 0, output
        elif block.language == "pycon":
            self._session(block)
        elif block.language == "console":
            self._commands(block)
        else:
            raise AssertionError(f"nothing is known of how to try a block of '{block.language}'")

    def _session(self, block: Block) -> None:
        typed = [line[4:] for line in block.text.splitlines() if line.startswith((">>>", "..."))]
        path = self._site.write(f"typed_{block.line}", self._as_here("\n".join(typed) + "\n"))
        _, output = self._python([str(PROJECT / "tests" / "support" / "transcript.py"), path.name], self._environment)
        if not self._is_same(block.text, output, has_gaps=False):
            self._differs(block.line, block.text, output)

    def _commands(self, block: Block) -> None:
        line = block.line
        parts = re.split(r"^(\$ (?:.*\\\n)*.*\n)", block.text, flags=re.MULTILINE)
        assert not parts[0].strip(), "a console block begins with a command, after $"
        for number, (command, expected) in enumerate(zip(parts[1::2], parts[2::2], strict=True)):
            line += command.count("\n")
            is_last = number == len(parts[1::2]) - 1
            wanted = int(block.attributes.get("status", 0)) if is_last else 0
            status, output = self._command(self._as_here(command[2:].replace("\\\n", "")).strip())
            if not self._is_same(expected, output):
                self._differs(line, expected, output)
            assert status == wanted, f"{command.strip()} ended with {status}, not {wanted}:\n{output}"
            line += expected.count("\n")

    def _command(self, command: str) -> tuple[int, str]:
        """Run what was typed into a shell; return exit status and output."""
        words = shlex.split(command)
        environment = dict(self._environment)
        is_export = words[0] == "export"
        while words and (is_export or re.fullmatch(r"[A-Z_]+=.*", words[0])):
            name, equals, value = words.pop(0).partition("=")
            if equals:
                environment[name] = value
        if is_export:
            self._environment = environment
            return 0, ""
        if re.search(r"[|<>&;]|\$\(", command):
            return self._in_shell(["sh", "-c", command], environment)
        if words[0] == "python" and words[1].endswith(".py"):
            return self._python(words[1:], environment)
        if words[0] == "metaflow":
            path = self._site.write("output/metaflow.py", "from metaflow.cli.console import main\n\nmain()\n")
            return self._python([str(path), *words[1:]], environment)
        return self._in_shell(["sh", "-c", command], environment)

    def _python(self, words: list[str], environment: dict[str, str]) -> tuple[int, str]:
        if self._is_live or "MILLRACE_TEST_COLD" in os.environ:
            # As on a terminal: what is printed to both streams keeps its order.
            return self._in_shell([PYTHON, *words], {**environment, "PYTHONUNBUFFERED": "1"})
        output = self._site.directory / "output" / "printed"
        output.parent.mkdir(exist_ok=True)
        output.unlink(missing_ok=True)
        status = warm.command(words, environment, self._site.directory, output, output, 60.0)
        text = output.read_text(encoding="utf-8", errors="replace")
        assert status is not None, f"not done within a minute: {words}\n{text}"
        return status, text

    def _in_shell(self, words: list[str], environment: dict[str, str]) -> tuple[int, str]:
        options: dict[str, Any] = {"cwd": self._site.directory, "env": environment, "stdin": subprocess.DEVNULL}
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240, **options)
        return done.returncode, done.stdout.decode(errors="replace")

    def _is_same(self, expected: str, output: str, *, has_gaps: bool = True) -> bool:
        """Compare what a page shows with what was printed."""
        expected, output = (_POINTS.sub("", text) for text in (expected, output))
        wanted, printed = self._lines(expected), self._lines(output)
        if has_gaps and _ANY in wanted:
            return _are_among(wanted, printed) and self._learn(expected, output)
        return _split(wanted) == _split(printed) and self._learn(expected, output)

    def _learn(self, expected: str, output: str) -> bool:
        """Note which run of this directory each id on the page stands for; tell whether that holds for all of them."""
        shown, made = _RUN.findall(expected), _RUN.findall(output)
        for one, other in zip(dict.fromkeys(shown), dict.fromkeys(made), strict=False):
            self._runs.setdefault(one, other)
        wanted, printed = Counter(self._runs.get(each) for each in shown), Counter(made)
        return wanted <= printed if _ANY in expected.split("\n") else wanted == printed

    def _lines(self, text: str) -> list[str]:
        text = _RUN.sub("RUN", _STAMP.sub("", self._as_shown(text)))
        for pattern, stands in _VARIES:
            text = pattern.sub(stands, text)
        return [line.rstrip() for line in text.rstrip().split("\n")]

    def _as_here(self, text: str) -> str:
        """Return what is typed with the ids and the directory of this run."""
        text = _RUN.sub(lambda found: self._runs.get(found[0], found[0]), text)
        return text.replace(_HOME, str(self._site.directory))

    def _as_shown(self, text: str) -> str:
        return text.replace(str(self._site.directory), _HOME)

    def _differs(self, line: int, expected: str, output: str) -> None:
        self._learn(expected, output)
        back = {made: shown for shown, made in self._runs.items()}
        shown = _RUN.sub(lambda found: back.get(found[0], found[0]), _STAMP.sub("", self._as_shown(output)))
        shown = "".join(f"{each.rstrip()}\n" for each in shown.rstrip().split("\n")) if shown.strip() else ""
        if _UPDATES and _ANY not in expected.split("\n"):
            self._changed[line] = (len(expected.splitlines()), shown.splitlines())
            self._learn(shown, output)
            return
        difference = difflib.unified_diff(
            expected.splitlines(), shown.splitlines(), "the page", "what was printed", lineterm="", n=1
        )
        raise AssertionError("another output\n" + "\n".join(difference))


def _split(lines: list[str]) -> tuple[list[str], Counter[str]]:
    """Return the lines of the run, in order, and those of its tasks, which come in any."""
    return [line for line in lines if not _TASK.match(line)], Counter(line for line in lines if _TASK.match(line))


def _are_among(wanted: list[str], printed: list[str]) -> bool:
    (own, of_tasks), (all_own, all_of_tasks) = _split([line for line in wanted if line != _ANY]), _split(printed)
    rest = iter(all_own)
    return all(line in rest for line in own) and of_tasks <= all_of_tasks
