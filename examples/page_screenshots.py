"""Pictures of the page for the docs: `python -m examples.page_screenshots` after `make demo`.

Starts the service with keys, has a shift's parts judged and reviewed (examples/page_shift.py), and looks at every view
with the system's chromium at 1280 x 800 and 390 x 844.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

from examples.demo_service import RunningService, ServiceFailed
from examples.page_shift import Shift, spread_over_the_shift
from service.auth import new_key

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDE, NARROW = (1280, 800), (390, 844)
SCOPES = {"line": ["infer"], "anna": ["review"], "ben": ["review"], "mara": ["admin", "infer"]}
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage"]
SPOT_CHECKS = 0.6  # high, so that one small folder of pictures is enough for a proposal
PARTS = 170
COLOURS = 128


class Shot(NamedTuple):
    """One picture: its name, the view, the size, and what is done before it is taken."""

    name: str
    view: str
    size: tuple[int, int] = WIDE
    theme: Any = "light"
    language: str = "en"
    keys: str = ""


SHOTS = (
    Shot("live", "live"),
    Shot("live_dark", "live", theme="dark"),
    Shot("live_narrow", "live", NARROW),
    Shot("review", "review"),
    Shot("review_class", "review", keys="→d"),
    Shot("review_narrow", "review", NARROW, language="de"),
    Shot("teach", "teach"),
    Shot("teach_narrow", "teach", NARROW),
    Shot("what_if", "what-if", keys="→→→"),
    Shot("what_if_narrow", "what-if", NARROW, keys="→→→"),
    Shot("products", "products"),
    Shot("products_narrow", "products", NARROW, "dark"),
    Shot("defects", "defects"),
    Shot("defects_narrow", "defects", NARROW),
    Shot("training", "products/+"),
    Shot("training_narrow", "products/+", NARROW),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes OUT/page_<name>.png; 1 with a sentence where something is missing."""
    options = argparse.ArgumentParser(prog="python -m examples.page_screenshots", description=__doc__)
    options.add_argument("--artifacts", type=Path, default=Path("demo/artifacts"), help="with one product in it")
    options.add_argument("--data", type=Path, default=Path("demo/data"), help="its test pictures, MVTec layout")
    options.add_argument("--out", type=Path, default=Path("docs/images"))
    options.add_argument("--only", nargs="*", default=[], help="names of pictures")
    given = options.parse_args(arguments)
    try:
        take(given.artifacts, given.data, given.out, given.only)
    except (ServiceFailed, OSError, ImportError) as error:
        print(f"page_screenshots: {error}", file=sys.stderr)
        return 1
    return 0


def take(artifacts: Path, data: Path, out: Path, only: Sequence[str]) -> None:
    """All pictures, or those that `only` names."""
    folders = (folder for folder in sorted(artifacts.iterdir()) if folder.is_dir() and not folder.name.startswith("."))
    product = next(folders).name
    made = {name: new_key(name, scopes) for name, scopes in SCOPES.items()}
    keys = {name: secret for name, (secret, _) in made.items()}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        shutil.copytree(artifacts, work / "artifacts")
        flags = ["--api-keys", " ".join(key.line() for _, key in made.values())]
        flags += ["--feedback", str(work / "feedback"), "--spot-check-share", str(SPOT_CHECKS)]
        with RunningService(work / "artifacts", work / "log", flags) as service:
            shift = Shift(service.url, product, data, keys)
            shift.judge(PARTS)
            shift.review()
            proposal = shift.propose()
            shift.disagree()
            print(f"the proposal is {proposal['state']}: {proposal['reason'] or proposal['after']}")
        spread_over_the_shift(work / "feedback")
        with RunningService(work / "artifacts", work / "log", flags) as service:
            shift.url = service.url
            shift.judge(8)
            shift.judge_defects(data)
            shift.group()
            look(service.url, keys["mara"], out, [shot for shot in SHOTS if not only or shot.name in only])


def look(url: str, key: str, out: Path, shots: Sequence[Shot]) -> None:
    """Take the pictures, and make them small."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise OSError("needs chromium: apt-get install chromium")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=FLAGS)
        for shot in shots:
            file = out / f"page_{shot.name}.png"
            page = opened(browser, url, key, shot)
            page.screenshot(path=file)
            page.context.close()
            with Image.open(file) as taken:
                small = taken.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
            small.save(file, optimize=True)
            print(f"{file}: {file.stat().st_size / 1024:.0f} kB")
        browser.close()


def opened(browser: Browser, url: str, key: str, shot: Shot) -> Page:
    """The view, as it is once everything has been read."""
    width, height = shot.size
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=shot.theme, locale=shot.language
    )
    context.request.post(f"{url}/session", data={"key": key}, headers={"Origin": url})
    page = context.new_page()
    page.goto(f"{url}/ui/#/{shot.view}")
    page.wait_for_selector("main .card")
    page.wait_for_load_state("load")
    page.wait_for_timeout(2500)
    for sign in shot.keys:
        if shot.view == "what-if":
            page.locator("#rate").focus()
        page.keyboard.press({"→": "ArrowRight"}.get(sign, sign))
    if shot.keys:
        page.wait_for_timeout(1500)
    return page


if __name__ == "__main__":
    sys.exit(main())
