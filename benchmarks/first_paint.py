"""How heavy each page is, and how soon something of it is seen in a fresh Chromium.

    python benchmarks/first_paint.py --state state [--times 7]

A browser without a cache opens each page of a state, as often as ``--times`` says. Told are bytes of HTML and
of all files together, requests, requests to elsewhere, and the median of the first contentful paint, beside
the same of an empty page from the same server: what that takes is the browser's.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, sync_playwright

PATHS = ("/", "/attempts", "/attempts/1", "/models", "/receipts", "/energy")
EMPTY = "/static/mark.svg"
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


def _opened(browser: Browser, url: str) -> tuple[dict[str, int], float | None]:
    """Bytes of each answer, and the first contentful paint, ms."""
    context = browser.new_context()
    page, sizes = context.new_page(), dict[str, int]()
    page.on("response", lambda said: sizes.update({said.url: int(said.headers.get("content-length", 0))}))
    page.goto(url)
    page.wait_for_timeout(700)
    painted = page.evaluate(_PAINT)
    context.close()
    return sizes, painted


def _row(browser: Browser, home: str, path: str, times: int) -> str:
    looks = [_opened(browser, home + path) for _ in range(times)]
    sizes = looks[0][0]
    foreign = sum(urlsplit(url).netloc != urlsplit(home).netloc for url in sizes)
    html = sizes.get(home + path, 0)
    rest = sum(size for url, size in sizes.items() if urlsplit(url).path.startswith("/static/"))
    paints = [paint for _, paint in looks if paint is not None]
    soon = f"{statistics.median(paints):5.0f} ms" if paints else "    –   "
    return f"{path:14} {html:7,} B  {rest:8,} B  {len(sizes):3}  {foreign:3}   {soon}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", type=Path, default=Path("state"))
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    chosen = parser.parse_args()
    command = [sys.executable, "-m", "cryoflux", "dashboard", "--port", "0", "--no-open"]
    with (
        subprocess.Popen(
            [*command, "--state", str(chosen.state)], stdout=subprocess.PIPE, text=True
        ) as server,
        sync_playwright() as playwright,
    ):
        home = (server.stdout.readline() if server.stdout else "").split()[-1].rstrip("/")
        browser = playwright.chromium.launch(executable_path=chosen.chromium, args=["--no-sandbox"])
        print("page              HTML         files  requests, foreign   first paint")
        for path in (EMPTY, *PATHS):
            print(_row(browser, home, path, chosen.times))
        browser.close()
        server.terminate()


if __name__ == "__main__":
    main()
