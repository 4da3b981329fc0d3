"""The pages of a backtest in a real browser: drawn whole, without an error or scrolling sideways, on a desk and
on a phone.

A page is looked at inside a frame of the width, which its style and its script take for the screen. A probe that is put
before all else tells the frame around it what went wrong and how wide everything became.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.cli.calls import call

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium here: ops/install-test-tools.sh installs it")
WIDTHS = (1280, 390)
PROBE = """<script>
const wrong = [];
for (const name of ["error", "warn"]) console[name] = (...words) => wrong.push(name + ": " + words.join(" "));
addEventListener("error", event => wrong.push("error: " + (event.message || "cannot load " + (event.target.src ||
  event.target.href))), true);
addEventListener("unhandledrejection", event => wrong.push("rejected: " + event.reason));
addEventListener("load", () => setTimeout(() => {
  const screen = document.documentElement.clientWidth;
  const places = [...document.querySelectorAll(".chart")];
  const beyond = [...document.querySelectorAll("main *")].filter(each => !each.closest(".chart") &&
    each.getBoundingClientRect().right > screen + 1).map(each => each.outerHTML.slice(0, 120));
  parent.postMessage({page: location.pathname.split("/").pop(), wrong, beyond, screen,
    width: document.documentElement.scrollWidth, charts: places.length,
    drawn: places.filter(each => each.querySelector("svg.main-svg, .table, .gl-container")).length,
    high: places.filter(each => each.clientHeight > 100).length}, "*");
}, 500));
</script>"""
FRAMES = """<!doctype html><body><pre id="found">[]</pre><script>
const found = [];
addEventListener("message", event => {{
  found.push(event.data);
  document.getElementById("found").textContent = JSON.stringify(found);
}});
</script>{frames}</body>"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The pages of a backtest with hedges, a loan, and a stop, each with the probe in it."""
    results = tmp_path_factory.mktemp("results")
    span = ["--start", "2024-05-01", "--end", "2024-06-20", "--scenario", "depeg", "--capital", "100000"]
    assert call("backtest", "run", "usdt_market_neutral", *span, "--out", str(results)) == 0
    (index,) = results.glob("*/plots/index.html")
    found = sorted(index.parent.glob("*.html"))
    for page in found:
        text = page.read_text()
        assert text.count("<head>") == 1
        page.write_text(text.replace("<head>", f"<head>{PROBE}"))
    return found


def looked_at(pages: list[Path], width: int) -> list[dict[str, Any]]:
    """What the probes told of these pages in frames of that width."""
    folder = pages[0].parent
    frames = "".join(
        f'<iframe src="{escape(page.name)}" width="{width}" height="900" style="border:0"></iframe>' for page in pages
    )
    around = folder / f"around-{width}.htm"
    around.write_text(FRAMES.format(frames=frames))
    words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    options = [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=30000", "--window-size=1400,1000"]
    done = subprocess.run(
        [str(BROWSER), *words, *options, "--dump-dom", around.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    before, _, rest = done.stdout.partition('<pre id="found">')
    assert rest, f"the browser ended with {done.returncode}: {done.stderr[-2000:]}"
    found: list[dict[str, Any]] = json.loads(unescape(rest.partition("</pre>")[0]))
    return found


@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_is_drawn_without_an_error_and_without_scrolling_sideways(width: int, pages: list[Path]) -> None:
    found = {one["page"]: one for one in looked_at(pages, width)}
    assert set(found) == {page.name for page in pages}, "every page has loaded"
    assert len(found) > 8
    for name, one in found.items():
        assert one["wrong"] == [], name
        assert one["screen"] == width, "the probe measures what it says"
        assert one["width"] <= width, f"{name} scrolls sideways"
        assert one["beyond"] == [], f"{name} runs out of the screen"
        assert one["charts"] > 0 and one["drawn"] == one["high"] == one["charts"], f"{name}: a chart is missing"
    assert found["index.html"]["charts"] == len(pages) - 1


def test_the_probe_sees_what_is_wrong(pages: list[Path]) -> None:
    """An error, a wide table and an empty chart are each told of."""
    broken = pages[0].parent / "broken.html"
    wide = '<main><table style="width:900px"><tr><td>wide</td></tr></table><div class="chart"></div></main>'
    broken.write_text(f"<head>{PROBE}</head><script src='none.js'></script><script>nothing.there()</script>{wide}")
    try:
        (one,) = looked_at([broken], 390)
    finally:
        broken.unlink()
    assert len(one["wrong"]) == 2
    assert one["width"] > 390 and one["beyond"]
    assert (one["charts"], one["drawn"]) == (1, 0)
