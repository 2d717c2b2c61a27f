"""How long Chromium takes to the first paint of a card with a table of 100,000 rows and 20 columns."""

import sys
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

from playwright.sync_api import sync_playwright

from metaflow.cards import BlankCard, Table

rows = [[number, f"name {number}", *((number * each) % 1000 / 8 for each in range(18))] for number in range(100_000)]
table = Table(rows, [f"column {number}" for number in range(20)])
path = Path("paint.html").absolute()
task: Any = SimpleNamespace(pathspec="Flow/1/start/1")
path.write_text(BlankCard(components=[table.render()]).render(task))
took = []
with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=sys.argv[1], args=["--no-sandbox"])
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    for _ in range(5):
        page.goto(path.as_uri())
        took.append(page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000)
    assert page.locator("tbody tr").count() > 20
    browser.close()
print("MB", path.stat().st_size / 1e6)
print("seconds", median(took))
