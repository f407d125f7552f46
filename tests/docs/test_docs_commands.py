"""Every command of README.md and docs/*.md is run as it is written, or a comment before it says why not."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from tests.docs.blocks import Block, blocks
from tests.docs.folders import Pictures, Stock, prepare
from tests.docs.programs import SMALL, SMALL_MKD, Programs
from tests.docs.runner import ROOT, CommandFailed, all_blocks, run, summary
from trainer.__main__ import main as train

BLOCKS = all_blocks()
RUN_PAGES = sorted({block.page for block in BLOCKS if not block.reason})


@pytest.fixture(scope="session")
def stock(
    tmp_path_factory: pytest.TempPathFactory,
    good_folder_of_bolts: Path,
    good_images: list[bytes],
    bad_image: bytes,
    source_weights: Mapping[str, torch.Tensor],
) -> Stock:
    """Small pictures, and small artifacts, each trained when it is asked for first. One without a version is plain."""
    kept = tmp_path_factory.mktemp("artifacts-of-the-pages")

    def give(product: str, out: Path, version: str) -> None:
        artifact = kept / product / (version or "1")
        if not artifact.exists():
            wanted = ["--product", product, "--version", artifact.name, "--out", str(kept), "--no-forecast"]
            handler = signal.getsignal(signal.SIGTERM)
            assert train(["fit", str(good_folder_of_bolts), *wanted, *SMALL.split(), *SMALL_MKD.split()]) == 0
            signal.signal(signal.SIGTERM, handler)  # the program sets one of its own
        shutil.copytree(artifact, out / product / version)

    files = [file.read_bytes() for file in sorted(good_folder_of_bolts.iterdir())]
    return Stock(Pictures(files, good_images, bad_image), give)


LONG_PAGES = {"docs/train.md", "docs/cookbook.md"}  # a minute and more; run by `make test-long`


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=pytest.mark.long) if page in LONG_PAGES else page for page in RUN_PAGES]
)
def test_the_commands_of_the_page_do_what_they_should(page: str, tmp_path: Path, stock: Stock) -> None:
    for program in ("bash", "jq"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    key = prepare(page, tmp_path / "reader", stock, ROOT)
    programs = Programs(tmp_path / "programs", ROOT, curl)
    environment = programs.environment(KEY=key)
    try:
        for block in BLOCKS:
            if block.page == page and not block.reason:
                run(block, tmp_path / "reader", environment)
    finally:
        programs.stop()


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.reason not in {"", "a listing"}], ids=str)
def test_commands_that_are_not_run_are_those_of_a_shell(block: Block) -> None:
    checked = subprocess.run(["bash", "-n", "-c", block.script], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_most_commands_of_our_own_programs_are_run() -> None:
    ours = [
        (block, command)
        for block in BLOCKS
        for command in block.commands
        if command.split()[0].startswith("mkd-") and block.reason != "a listing"
    ]
    ran = [command for block, command in ours if not block.reason]
    assert len(ran) >= 0.6 * len(ours), summary(BLOCKS)


Write = Callable[[str], Path]


@pytest.fixture
def page(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        (tmp_path / "page.md").write_text(text, encoding="utf-8")
        return tmp_path / "page.md"

    return write


def test_blocks_are_found_by_indentation_and_by_fence(page: Write) -> None:
    text = (
        "Text\n\n    echo one\n    echo two\n\n```sh\necho three\n```\n\n```json\n{}\n```\n\n- item\n\n    more of it\n"
    )
    file = page(text)
    assert [block.commands for block in blocks(file, file.parent)] == [["echo one", "echo two"], ["echo three"]]


def test_a_block_of_python_is_run_as_it_is_written(page: Write, tmp_path: Path) -> None:
    file = page("```python\nfor word in (\"it's\", '$HOME'):\n    print(word)  # a comment\n```\n")
    (block,) = blocks(file, file.parent)
    programs = Programs(tmp_path / "programs", ROOT, "curl")
    (tmp_path / "reader").mkdir()
    assert run(block, tmp_path / "reader", programs.environment()) == "it's\n$HOME\n"


def test_output_comments_and_line_ends_are_no_commands(page: Write) -> None:
    file = page("    $ echo one\n    one\n    $ echo two\n\n```bash\n# why\necho \\\n  three\n```\n")
    assert [block.commands for block in blocks(file, file.parent)] == [["echo one", "echo two"], ["echo three"]]


def test_a_comment_before_a_block_says_why_it_is_not_run_or_what_comes_first(page: Write) -> None:
    file = page("<!-- not run: takes minutes -->\n\n    make\n\n<!-- run: after echo one -->\n```sh\necho two\n```\n")
    first, second = blocks(file, file.parent)
    assert first.reason == "takes minutes"
    assert second.script == "echo one\necho two\n"


@pytest.mark.parametrize("comment", ["<!-- not run: no time -->", "<!-- norun -->"])
def test_another_reason_or_a_mistyped_comment_is_refused(page: Write, comment: str) -> None:
    file = page(f"{comment}\n\n    echo\n")
    with pytest.raises(ValueError, match=r"page\.md:3"):
        blocks(file, file.parent)


@pytest.mark.parametrize(
    "commands",
    ["    false\n    true", "    pip install anything", "    echo ${UNSET_BY_ANYBODY}", "```python\n1 / 0\n```"],
)
def test_a_command_that_fails_or_must_not_be_called_fails_the_page(page: Write, commands: str, tmp_path: Path) -> None:
    file = page(f"{commands}\n")
    (block,) = blocks(file, file.parent)
    programs = Programs(tmp_path / "programs", ROOT, "curl")
    (tmp_path / "reader").mkdir()
    with pytest.raises(CommandFailed, match=r"page\.md:1"):
        run(block, tmp_path / "reader", programs.environment())
