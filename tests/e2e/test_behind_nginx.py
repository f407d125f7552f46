"""The block for nginx in docs/operate.md, with nginx: page, document and verdicts below the prefix."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from benchmarks.harness.service_process import ServiceProcess

PAGE = Path(__file__).parents[2] / "docs" / "operate.md"
CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {locations}
    }}
}}
"""


@pytest.fixture(scope="session")
def nginx() -> str:
    """The program; skips where it is not installed."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    return found


@pytest.fixture
def behind_nginx(nginx: str, service: ServiceProcess, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of nginx, which shows the service below /line-7, and below /whole without taking the path off."""
    (block,) = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.DOTALL)
    taken_off = block.replace("127.0.0.1:8000", f"127.0.0.1:{service.port}")
    whole = taken_off.replace("/line-7", "/whole").replace(f"{service.port}/;", f"{service.port};")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = CONFIG.format(folder=tmp_path, port=port, locations=taken_off + whole)
    (tmp_path / "nginx.conf").write_text(text)
    running = subprocess.Popen([nginx, "-c", tmp_path / "nginx.conf", "-e", "stderr"], stderr=subprocess.PIPE)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            for _ in range(200):
                try:
                    client.get("/line-7/healthz")
                    break
                except httpx.ConnectError:
                    assert running.poll() is None, running.communicate()
                    time.sleep(0.05)
            yield client
    finally:
        running.terminate()
        running.communicate()


@pytest.mark.parametrize("prefix", ["/line-7", "/whole"])
def test_page_document_and_verdicts_are_below_the_prefix(
    behind_nginx: httpx.Client, prefix: str, good_images: list[bytes]
) -> None:
    page = behind_nginx.get(f"{prefix}/docs")
    links = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)["']""", page.text)
    links += re.findall(r"""url: ["']([^"']+)["']""", page.text)
    assert len(links) == 4
    for link in links:
        assert link.startswith(f"{prefix}/")
        assert behind_nginx.get(link).status_code == 200
    document = behind_nginx.get(links[-1]).json()
    assert document["servers"] == [{"url": prefix}]
    headers = {"Content-Type": "image/png"}
    path = document["servers"][0]["url"] + next(path for path in document["paths"] if path == "/score")
    (verdict,) = behind_nginx.post(f"{path}?product=bolt", content=good_images[0], headers=headers).json()["results"]
    assert verdict["decision"] in ("OK", "REVIEW", "NG")
