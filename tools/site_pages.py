"""Brings the pages at the top of the repository into the documentation site, as a hook of mkdocs.

README.md becomes the site's first page. A page is written for its place in the repository, so links are turned to the
site's layout; a link to a file that is not a page of the site, such as a folder of code, becomes plain text.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
TOP_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "SECURITY.md": "reporting.md",  # docs/security.md is another page
}
LINK = re.compile(r"(?P<label>\[(?:[^\[\]]|\[[^\]]*\])*\])\((?P<target>[^()\s]+)\)")
ELSEWHERE = re.compile(r"\w+:|#|//")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of docs/ and the pages of TOP_PAGES."""
    for source, place in TOP_PAGES.items():
        files.append(File.generated(config, place, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page's text with links as the site needs them. Dead ones are left, so that the build tells of them."""
    folder = "" if page.file.src_uri in TOP_PAGES.values() else "docs"
    return LINK.sub(lambda link: turned(link, folder), markdown)


def turned(link: re.Match[str], folder: str) -> str:
    """A link of a page in `folder` of the repository, for the site."""
    target, sharp, anchor = link["target"].partition("#")
    if ELSEWHERE.match(link["target"]):
        return link[0]
    path = normal(PurePosixPath(folder) / target)
    if path.parts[0] == "docs":
        return f"{link['label']}({PurePosixPath(*path.parts[1:])}{sharp}{anchor})"
    if str(path) in TOP_PAGES:
        return f"{link['label']}({TOP_PAGES[str(path)]}{sharp}{anchor})"
    return link["label"][1:-1] if (ROOT / path).exists() else link[0]


def normal(path: PurePosixPath) -> PurePosixPath:
    """The path without `..`."""
    parts: list[str] = []
    for part in path.parts:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
    return PurePosixPath(*parts)
