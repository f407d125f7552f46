"""Photographs the top of a report in chromium, as a desk and as a telephone show it: docs/images/report-WIDTH.png.

python -m tools.report_pictures reports/brick/report.html
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

SIZES = ((1200, 1000), (390, 844))  # pixels of a window
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage"]
BEYOND = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where both pictures are written and the page is nowhere wider than its window, else 1 with the reason."""
    options = argparse.ArgumentParser(prog="python -m tools.report_pictures", description=__doc__)
    options.add_argument("report", type=Path, help="report.html of mkd-train evaluate")
    options.add_argument("--out", type=Path, default=Path("docs/images"), help="folder of the pictures [docs/images]")
    options.add_argument("--whole", action="store_true", help="the whole page and not its top alone")
    given = options.parse_args(arguments)
    browser = shutil.which("chromium")
    if browser is None or not given.report.is_file():
        missing = "chromium" if browser is None else given.report
        print(f"report_pictures: {missing} is not there", file=sys.stderr)
        return 1
    given.out.mkdir(parents=True, exist_ok=True)
    wide = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=FLAGS)
        for width, height in SIZES:
            page = chromium.new_page(viewport={"width": width, "height": height})
            page.goto(given.report.absolute().as_uri())
            photograph(page, given.out / f"report-{width}.png", whole=given.whole)
            if (beyond := page.evaluate(BEYOND)) > 0:
                wide.append(f"{beyond} pixels wider than a window of {width}")
        chromium.close()
    for words in wide:
        print(f"report_pictures: the page is {words}", file=sys.stderr)
    return 1 if wide else 0


def photograph(page: Page, file: Path, *, whole: bool) -> None:
    """One PNG file."""
    page.screenshot(path=file, full_page=whole)
    print(f"written: {file}")


if __name__ == "__main__":
    sys.exit(main())
