"""The pages of runs in a real browser: a real server over real runs, looked at, steered, watched while they change."""

from __future__ import annotations

import re
import shlex
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect
from starlette.applications import Starlette

from metaflow.serve.pages.routes import routes
from support import processes
from support.browser import chromium, found_by_axe, needs_browser, watched
from support.reading import sample_reader
from support.site import Finished, Running, Site

FLOW = "run_gallery.py"
LINES = 8_000
PAGES = {
    "runs": "/",
    "run": "{good}",
    "failed run": "{bad}",
    "grid": "{bad}?view=grid",
    "step": "{bad}/each",
    "task": "{good}/start/1?stream=stdout",
    "failed task": "{bad}/{task}",
    "card": "{good}/each/3",
    "artifact": "{good}/start/1/artifacts/table",
    "log": "{good}/start/1/log/stdout",
    "comparison": "/compare?run={good_run}&run={bad_run}",
    "other runs": "/compare?run={good_run}",
    "missing": "/runs/Nobody/1",
}

pytestmark = needs_browser
expect.set_options(timeout=30_000)  # a machine may do other things as well


class Served(NamedTuple):
    """A server, and two runs that it shows."""

    site: Site
    address: str
    good: Finished
    bad: Finished

    def url(self, name: str) -> str:
        """Return the address of one of `PAGES`."""
        (blamed,) = [task for task in self.bad.run["each"] if task.index == 0]
        words = {
            "good": f"/runs/RunGallery/{self.good.run_id}",
            "bad": f"/runs/RunGallery/{self.bad.run_id}",
            "good_run": f"RunGallery/{self.good.run_id}",
            "bad_run": f"RunGallery/{self.bad.run_id}",
            "task": f"each/{blamed.id}",
        }
        return self.address + PAGES[name].format(**words)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    site = Site(tmp_path_factory.mktemp("served"), "fork")
    good = site.run_flow(FLOW, "run", "--tag", "nightly", "--tag", "<b class=owned>", "--lines", str(LINES)).succeeded()
    bad = site.run_flow(FLOW, "run", "--fails", "true", "--width", "6").failed()
    site.write("server.py", "from metaflow.cli.console import main\nmain()")
    server = site.start_flow("server.py", "serve", "--port", "0", "--no-browser")
    try:
        processes.eventually(lambda: "http://" in server.stdout, "the server listens")
        yield Served(site, _address(server), good, bad)
    finally:
        server.interrupt(group=False)
        ended = server.wait()
    assert "Traceback" not in ended.output
    processes.assert_gone(site.mark)


def _address(server: Running) -> str:
    found = re.search(r"http://[^\s/]+", server.stdout)
    assert found is not None
    return found.group()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def show(browser: Browser, served: Served) -> Iterator[Callable[..., tuple[Page, list[str]]]]:
    opened: list[Page] = []

    def show(name: str, *, width: int = 1280, scheme: Any = "light", **more: Any) -> tuple[Page, list[str]]:
        page = browser.new_page(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            timezone_id="Asia/Tokyo",
            locale="en-GB",
            **more,
        )
        opened.append(page)
        complaints = watched(page, served.address)
        page.goto(served.url(name))
        return page, complaints

    yield show
    for page in opened:
        page.close()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_complains(show: Callable[..., Any], name: str) -> None:
    for scheme, width in (("light", 1280), ("dark", 360)):
        page, complaints = show(name, scheme=scheme, width=width)
        page.locator("html.scripted").wait_for()
        if name == "card":
            page.frame_locator("iframe.card").get_by_role("heading", name="A card of its own").wait_for()
        assert found_by_axe(page) == []
        expected = ["404 (Not Found)"] if name == "missing" else []
        assert [each for each in complaints if not any(known in each for known in expected)] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".owned, [onload], [onerror], a[href^='javascript:']").count() == 0
        assert "owned" not in page.title()


def test_every_key_that_the_page_names(show: Callable[..., Any], served: Served) -> None:
    page, complaints = show("runs")
    page.keyboard.press("?")
    named = page.locator("#keys kbd").all_text_contents()
    assert named == ["?", "/", "j", "k", "Enter", "x", "f", "u", "r", "n", "N", "y"]
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search")).to_be_focused()
    page.keyboard.type(f"{served.bad.run_id}")
    page.keyboard.press("Enter")
    expect(page.locator("main tbody tr")).to_have_count(1)
    assert page.url.endswith(f"/?q={served.bad.run_id}")
    page.locator("html.scripted").wait_for()
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_text("1 chosen; choose two")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"RunGallery/{served.bad.run_id}")
    page.keyboard.press("f")
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("each/"))
    expect(page.locator(".failure")).to_contain_text("ValueError: it had to fail </script>")
    page.keyboard.press("k")
    expect(page.get_by_text("items[0] = item-0")).to_have_count(0)
    page.keyboard.press("u")
    expect(page.get_by_role("heading", level=1)).to_have_text("each")
    page.keyboard.press("u")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"RunGallery/{served.bad.run_id}")
    tasks = page.get_by_role("grid", name="Tasks")
    tasks.focus()
    for key in ("End", "Home", "ArrowDown", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    expect(page.locator(".head .state.failed")).to_be_visible()
    page.keyboard.press("?")
    page.get_by_label("Single keys do what is said here").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("r")
    expect(page.locator(".head .state.failed")).to_be_visible()
    assert complaints == []


def test_times_are_the_readers_and_what_is_absolute_is_at_hand(show: Callable[..., Any]) -> None:
    page, _ = show("run")
    time = page.locator(".facts time").first
    expect(time).to_have_attribute("data-local", "")
    assert re.fullmatch(r"\d\d:\d\d:\d\d|\d+ \w+, \d\d:\d\d", str(time.text_content()))
    title = str(time.get_attribute("title"))
    assert re.search(r"ago|second|minute", title)
    assert "GMT+9" in title or "Japan" in title
    assert re.search(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", title)


def test_without_a_script_everything_can_be_read_and_filtered(show: Callable[..., Any], served: Served) -> None:
    page, _ = show("runs", java_script_enabled=False)
    page.get_by_label("Status").select_option("failed")
    page.get_by_role("button", name="Show").click()
    assert page.locator("main tbody tr").count() == 1
    page.get_by_role("link", name=f"RunGallery/{served.bad.run_id}").click()
    assert page.locator("#tasks tbody tr").count() == 7
    page.get_by_label("State").select_option("failed")
    page.get_by_role("button", name="Show", exact=True).click()
    page.locator("#tasks tbody a").click()
    assert "ValueError: it had to fail" in str(page.locator("#log").text_content())
    page, _ = show("task", java_script_enabled=False)
    page.get_by_role("link", name="More of the log").click()
    page.get_by_role("link", name="Next lines").click()
    assert "line 000" in str(page.locator(".log-text").text_content())


def test_a_log_is_scrolled_searched_and_coloured(show: Callable[..., Any]) -> None:
    page, complaints = show("task")
    log = page.locator("#log-lines")
    expect(log.locator(".line").first).to_contain_text("loud </script><script>")
    assert log.locator(".ansi-1.ansi-31").first.text_content() == "loud"
    log.focus()
    page.keyboard.press("End")
    expect(log.locator(".line").last).to_contain_text(f"line {LINES - 1:07}")
    assert log.locator(".line").count() < 200
    page.keyboard.press("Home")
    expect(log.locator(".line").first).to_contain_text("loud")
    log.evaluate("box => { box.scrollTop = box.scrollHeight / 2; }")
    _eventually(page, "() => /line 000[345]/.test(document.querySelector('.log').textContent)")
    for _ in range(30):  # back over the edge of what is loaded
        log.evaluate("box => box.scrollBy(0, -700)")
        page.wait_for_timeout(20)
    _eventually(page, f"() => ({_NUMBERS})().length > 20")
    shown = page.evaluate(f"({_NUMBERS})()")
    assert shown == list(range(shown[0], shown[0] + len(shown)))
    page.get_by_label("Find in the log").fill("LINE 0002345")
    page.keyboard.press("Enter")
    expect(page.locator(".line.found")).to_contain_text("line 0002345")
    expect(page.get_by_text("Line 1 of 1")).to_be_visible()
    assert complaints == []


def _eventually(page: Page, condition: str) -> None:
    # Not by `wait_for_function`: what it evaluates is forbidden by the policy of the page.
    processes.eventually(lambda: page.evaluate(condition), condition)


_NUMBERS = """() => [...document.querySelectorAll('.log .line')].map((line) => /line (\\d+)/.exec(line.textContent))
.filter(Boolean).map((match) => Number(match[1]))"""


def test_a_run_that_fails_while_one_looks(show: Callable[..., Any], browser: Browser, served: Served) -> None:
    gate = served.site.directory / "gate"
    listed, _ = show("runs")
    run = served.site.start_flow(FLOW, "run", "--fails", "true", "--gate", str(gate))
    try:
        link = listed.locator("tr", has_text="running").get_by_role("link", name="RunGallery/")
        link.wait_for(timeout=30_000)
        page, complaints = show("runs")
        page.goto(served.address + str(link.get_attribute("href")))
        row = page.locator(".rows .line:visible", has_text="item-0")
        row.locator(".running").first.wait_for(timeout=30_000)
        task, _ = show("runs")
        task.goto(served.address + str(row.get_by_role("link").get_attribute("href")))
        lines = task.locator("#log-lines .line")
        lines.filter(has_text="turn").first.wait_for(timeout=30_000)
        before, asked = str(lines.last.text_content()), time.monotonic()
        processes.eventually(lambda: lines.last.text_content() != before, "the log goes on")
        assert time.monotonic() - asked < 4  # it prints five a second; two are promised, on a machine that has the time
        gate.touch()
        expect(page.locator(".failure")).to_contain_text("ValueError: it had to fail", timeout=30_000)
        expect(page.locator(".head .state.failed")).to_be_visible(timeout=30_000)
        expect(task.locator(".failure")).to_contain_text("ValueError", timeout=30_000)
        expect(listed.locator("tr", has_text="running")).to_have_count(0, timeout=30_000)
        assert complaints == []
    finally:
        gate.touch()
        run.wait()


def test_what_is_copied_works(show: Callable[..., Any], served: Served, browser: Browser) -> None:
    page, _ = show("run", permissions=["clipboard-read", "clipboard-write"])
    copy = page.get_by_role("button", name="Copy: Read it in a notebook")
    copy.press("Enter")
    expect(copy).to_have_text("Copied")
    text = page.evaluate("navigator.clipboard.readText()")
    assert "'<b class=owned>'" in served.site.python(f"{text}\nprint(sorted(run.user_tags))").succeeded().stdout
    page.get_by_role("button", name="Copy: Run it anew").press("Enter")
    words = page.evaluate("navigator.clipboard.readText()")
    assert words.startswith("python run_gallery.py run --alpha 0.1 ")
    assert shlex.split(words)[-3].startswith("</script><script>document.title='owned';")
    page.keyboard.press("y")
    assert page.evaluate("navigator.clipboard.readText()") == page.url


def test_what_is_printed_is_whole(show: Callable[..., Any]) -> None:
    page, _ = show("failed run")
    page.emulate_media(media="print")
    assert page.locator(".top:visible, .copy:visible, #task-filter button:visible").count() == 0
    assert len(page.pdf()) > 10_000


@pytest.fixture
def wide() -> Iterator[str]:
    """Return the address of a server with a run of ten thousand tasks."""
    app = Starlette(routes=routes(sample_reader(10_000), "local@/flows", lambda *names: "/events"))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        processes.eventually(lambda: server.started, "the server listens")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def test_ten_thousand_tasks_open_at_once_and_scroll(browser: Browser, wide: str) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    requests: list[Any] = []
    page.on("requestfinished", lambda request: requests.append(request))
    page.goto(f"{wide}/runs/TrainFlow/101")
    page.get_by_text("10,001 tasks").wait_for()
    assert len(requests) == 3
    assert sum(each.sizes()["responseBodySize"] for each in requests) < 2_000_000
    first = page.locator(".rows .line:visible").first
    expect(first).to_contain_text("train/5002")
    expect(first).to_contain_text("models[5000] = m5000")
    assert page.locator(".rows .line").count() < 60
    # Frames of a busy machine say little; the time of the main thread for each of them says what an idle one would do.
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = _thread_seconds(session)
    page.evaluate("""async () => {
        const box = document.querySelector('.rows');
        for (let turn = 0; turn < 100; turn++) {
            await new Promise((resolve) => requestAnimationFrame(() => { box.scrollTop += 300; resolve(); }));
        }
    }""")
    assert (_thread_seconds(session) - before) / 100 < 0.02, "50 frames a second"
    page.get_by_label("Find tasks").fill("m777")
    page.get_by_text("11 of 10,001 tasks").wait_for()
    assert page.url.endswith("?q=m777")
    page.get_by_role("button", name="Grid").click()
    expect(page.get_by_role("img", name="Tasks: 11 successful.")).to_be_visible()
    page.close()


def _thread_seconds(session: Any) -> float:
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))
