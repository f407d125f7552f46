"""A service that has started has imported nothing that serving does not need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.run.processes import ONE_THREAD

ROOT = Path(__file__).parent.parent
UNNEEDED = (
    *("torchvision", "matplotlib", "onnx", "onnxruntime", "ray", "sklearn", "scipy", "pandas", "skimage"),
    *("torch._dynamo", "torch._inductor", "torch.onnx", "trainer"),
    *("sqlalchemy", "alembic"),  # for the feedback store, which tests do without
)
START = """
import asyncio, json, sys
from pathlib import Path
from service.run.assembly import assemble
from service.run.lifecycle import Lifecycle
from service.run.settings import Settings
import service.run.server

async def main():
    lifecycle = Lifecycle(Settings(artifacts=Path(sys.argv[1]), backend="winograd", watch_s=0), assemble)
    async with lifecycle.running():
        states = [status.state for status in lifecycle.components.registry.products()]
        print(json.dumps([states, sorted(sys.modules)]))

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.usefixtures("source_weights")
def test_a_started_service_has_imported_what_serving_needs_and_no_more(artifacts_folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START, str(artifacts_folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    states, modules = json.loads(done.stdout.splitlines()[-1])
    assert "served" in states
    assert [name for name in UNNEEDED if name in modules] == []
    assert not any(name.startswith("models.backends.") and "ncnn" in name for name in modules)  # asked for winograd


def test_the_parent_of_several_processes_has_imported_no_network_and_no_framework() -> None:
    program = "import json, sys; import service.__main__, service.run.processes; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "cv2", "fastapi", "uvicorn"} & set(json.loads(done.stdout))


def test_what_server_processes_are_forked_from_runs_one_thread() -> None:
    """A fork takes no thread along, and what one of them holds at that moment stays held."""
    program = "import os; import service.run.preload; print(len(os.listdir('/proc/self/task')))"
    environment = {**os.environ, ONE_THREAD: "1"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["1"]
