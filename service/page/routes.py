"""GET /ui: the page's first document and its files, with headers that let nothing else run in it.

The page asks for no key: what it shows comes from the routes of the HTTP interface, and each of those asks for one.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse

from service.page.static_files import StaticFile, page

router = APIRouter(include_in_schema=False)
GET = ["GET", "HEAD"]
FOR_GOOD = "public, max-age=31536000, immutable"  # the path holds a digest of the content
ASK_AGAIN = "no-cache"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "font-src 'self'",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "worker-src 'self'",
        "trusted-types mkdserve-worker",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
}


@router.api_route("/ui", methods=GET)
async def to_the_page() -> Response:
    """The page's own links are relative to /ui/; so is this one, and a proxy's prefix stays."""
    return RedirectResponse("ui/", headers=HEADERS)


@router.api_route("/ui/", methods=GET)
async def first_document(request: Request) -> Response:
    """The document that names the files of this build."""
    return _answer(request, page().index, ASK_AGAIN)


@router.api_route("/ui/{build}/{path:path}", methods=GET)
async def file(request: Request, build: str, path: str) -> Response:
    """One file of this build. Those of another build are not to be had: its page loads itself anew."""
    found = page().files.get(path) if build == page().build else None
    if found is None:
        raise HTTPException(404)
    return _answer(request, found, FOR_GOOD)


def _answer(request: Request, found: StaticFile, cached: str) -> Response:
    headers = {**HEADERS, "Cache-Control": cached, "ETag": found.tag}
    if found.tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.media_type, headers=headers)
