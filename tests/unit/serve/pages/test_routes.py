"""What each page says without a script, over runs in memory.

How pages look and move is for `tests/live/test_run_pages.py`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from html import unescape
from typing import TypeAlias

import httpx2
import pytest
from starlette.applications import Starlette

from metaflow.exception import StorageUnavailable
from metaflow.serve.pages import routes
from support.reading import HOSTILE, FakeReader, sample_reader

RUN, TASK = "/runs/TrainFlow/101", "/runs/TrainFlow/101/train/22"
Ask: TypeAlias = Callable[[str], httpx2.Response]


def asking(reader: FakeReader) -> Ask:
    app = Starlette(routes=routes(reader, "local@/flows", lambda *names: f"/events/{'/'.join(names)}"))

    async def ask(path: str) -> httpx2.Response:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://localhost") as client:
            return await client.get(path)

    return lambda path: asyncio.run(ask(path))


@pytest.fixture(scope="module")
def ask() -> Ask:
    return asking(sample_reader(120, 70))


def said(answer: httpx2.Response) -> str:
    """Return the text of a page."""
    body = answer.text.partition("<main")[2]
    return re.sub(r"\s+", " ", unescape(re.sub("<[^>]+>", " ", body)))


@pytest.mark.parametrize(
    ("path", "status", "sayings"),
    [
        ("/", 200, ["HelloFlow/269", "interrupted", "the run was lost", "Older"]),
        ("/?flow=TrainFlow", 200, ["TrainFlow/101", "train: the step 'train' ran out of memory"]),
        ("/?status=failed&user=nobody", 200, ["No run is like that.", "Show every run"]),
        ("/?status=failed&status=lost&tag=daily", 200, ["Also status lost any", "HelloFlow/263", "HelloFlow/265"]),
        ("/?from=yesterday", 400, ["'yesterday' is not a date or time"]),
        (RUN, 200, ["failed", "train/62 models[60] = m60 : the step 'train' ran out of memory", "memory=8192"]),
        (
            RUN,
            200,
            ["50 of 121", "More tasks", "resume --origin-run-id 101", "alpha 0.1 float"],
        ),
        (f"{RUN}?step=train&state=failed", 200, ["1 of 1", "train/62 attempt 2"]),
        (f"{RUN}?q=m11", 200, ["11 of 11", "train/113"]),
        (f"{RUN}?from=100", 200, ["21 of 121"]),
        (f"{RUN}/train", 200, ["Train a model.", "1 failed, 119 successful"]),
        (f"{RUN}/join", 200, ["No task has begun yet"]),
        (
            TASK,
            200,
            ["Item models[20] = m20", "pod hello-7", "getting the image 20.0 s", "kubernetes", "Previous", "Next"],
        ),
        (
            f"{RUN}/train/62",
            200,
            ["attempt 2", "give it more", "MemoryError", "ndarray 2.4 kB", "Cards default"],
        ),
        (f"{RUN}/train/62?attempt=0&stream=stderr", 200, ["failed attempt 1", "It printed nothing to stderr."]),
        (f"{RUN}/train/62/log/stdout?attempt=1&q=epoch+2999", 200, ["1 lines have it"]),
        (f"{RUN}/train/62/log/stdout?attempt=1&position=2990", 200, ["epoch 2999", "From the beginning"]),
        (f"{RUN}/train/62/artifacts/weights", 200, ["numpy.ndarray", "float64 array of shape (100, 3)"]),
        (f"{RUN}/train/62/artifacts/name", 200, [HOSTILE, "task['name'].data"]),
        ("/compare?run=HelloFlow/201&run=TrainFlow/101", 200, ["≠ differs alpha 0.1 0.2", "1 min 1 s", "not there"]),
        ("/compare?run=HelloFlow/201", 200, ["Compare HelloFlow/201 with", "successful 268"]),
        ("/compare", 400, ["Choose two runs"]),
        ("/runs/TrainFlow/7", 404, ["Not found", "There is no run TrainFlow/7.", "To the list of runs"]),
        (f"{RUN}/nothing", 404, ["has no step 'nothing'"]),
        (f"{RUN}/train/9999", 404, ["There is no task"]),
        (f"{TASK}?attempt=7", 404, ["has no attempt 7"]),
        (f"{TASK}?attempt=x", 400, ["'x' is not a number"]),
        (f"{TASK}/log/stdin", 404, ["its streams are stdout and stderr"]),
        (f"{TASK}/artifacts/none", 404, ["no artifact 'none'"]),
        (f"{TASK}/cards/none", 404, ["no such card"]),
        ("/runs/a/b/c/d/e/f/g/h", 404, ["There is nothing at this address."]),
        ("/static/1/style.css", 404, ["nothing at this address"]),
    ],
)
def test_a_page_says_in_words(ask: Ask, path: str, status: int, sayings: list[str]) -> None:
    answer = ask(path)
    text = said(answer)
    assert answer.status_code == status
    assert [saying for saying in sayings if saying not in text] == []
    assert "<script>alert" not in answer.text
    assert "default-src 'none'; script-src 'self'; style-src 'sha256-" in answer.headers["content-security-policy"]


def test_every_link_of_a_page_leads_somewhere(ask: Ask) -> None:
    links: set[str] = set()
    for path in ("/", RUN, f"{RUN}/train", f"{RUN}/train/62", "/compare?run=HelloFlow/201&run=TrainFlow/101"):
        links |= {unescape(link) for link in re.findall(r'(?:href|src)="(/[^"]*)"', ask(path).text)}
    one_of_each = {re.sub(r"\d+", "N", link): link for link in sorted(links)}
    assert len(one_of_each) > 15
    assert [link for link in one_of_each.values() if ask(link).status_code != 200] == []


def test_only_what_goes_on_is_listened_to(ask: Ask) -> None:
    assert 'data-events="/events/HelloFlow/201"' in ask("/runs/HelloFlow/201").text
    assert 'data-events="/events/"' in ask("/").text
    assert "data-events" not in ask(RUN).text + ask("/?after=50").text


def test_parts_of_a_log_are_asked_for_by_position_fraction_and_text(ask: Ask) -> None:
    log = f"{RUN}/train/62/log/stdout?attempt=1&part=1"
    part = ask(f"{log}&fraction=0.5").json()
    assert part["html"].startswith('<span class="line"><time datetime="')
    assert '<span class="ansi-34">epoch 1500</span> loss=0.0007 &lt;script&gt;' in part["html"]
    assert ask(f"{log}&position={part['end']}").json()["start"] == part["end"]
    assert ask(f"{log}&q=epoch+29").json() == {
        "positions": ["29", *map(str, range(290, 300)), *map(str, range(2900, 3000))],
        "is_cut": False,
    }
    assert ask(f"{log}&fraction=nan").status_code == 400
    raw = ask(f"{RUN}/train/62/log/stdout/raw?attempt=1")
    assert raw.headers["content-disposition"] == 'attachment; filename="TrainFlow-101-train-62-stdout.log"'
    assert raw.text.startswith("\x1b[30mepoch 0")


def test_a_card_can_do_nothing_but_run_in_its_frame(ask: Ask) -> None:
    answer = ask(f"{RUN}/train/62/cards/{'0f' * 16}")
    assert answer.text.startswith("<!doctype html><title>Card</title><script>")
    assert answer.headers["content-security-policy"].startswith("sandbox allow-scripts; default-src 'none'")
    page = ask(f"{RUN}/train/62").text
    assert re.findall(r'<iframe[^>]*sandbox="([^"]*)"', page) == ["allow-scripts"]
    assert ask(f"{RUN}/train/62/cards/{'0f' * 16}/data").json() == {}


def test_modules_are_kept_for_ever_under_their_version(ask: Ask) -> None:
    (page,) = re.findall(r'src="(/static/[^"]*page.js)"', ask("/").text)
    assert ask(page).headers["cache-control"] == "public, max-age=31536000, immutable"
    assert ask("/static/old/page.js").headers["cache-control"] == "no-store"


def test_trouble_is_told_in_words_and_a_mistake_of_ours_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    class Away(FakeReader):
        def run(self, flow: str, run: str) -> object:  # type: ignore[override]
            if run == "1":
                raise StorageUnavailable("The storage does not answer.", hint="is the network up?")
            raise ZeroDivisionError("secret")

    ask = asking(Away())
    answer = ask("/runs/F/1")
    assert (answer.status_code, "The storage does not answer. is the network up?" in said(answer)) == (503, True)
    answer = ask("/runs/F/2")
    assert (answer.status_code, "The server made a mistake" in said(answer)) == (500, True)
    assert "secret" not in answer.text
    assert "ZeroDivisionError" in caplog.text
