"""docker/ray-serve.yaml names what there is: Ray's schema takes it, and so do our settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("ray", reason="needs Ray: pip install 'mkdserve[ray]'")

from ray.serve.schema import ServeDeploySchema

from service.cluster import application as subject
from service.cluster.replica import settings_of

FILE = Path(__file__).parents[3] / "docker" / "ray-serve.yaml"


@pytest.fixture(scope="module")
def config() -> Any:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def test_rays_schema_takes_it_and_it_names_this_application(config: Any) -> None:
    (found,) = ServeDeploySchema.model_validate(config).applications
    assert found.import_path == f"{subject.__name__}:{subject.app.__name__}"
    (deployment,) = found.deployments
    assert deployment.name == subject.DEPLOYMENT
    scaling = config["applications"][0]["deployments"][0]["autoscaling_config"]
    assert scaling["min_replicas"] >= 2
    assert scaling["target_ongoing_requests"] < deployment.max_ongoing_requests


def test_our_settings_take_its_arguments_and_refuse_them_without_keys(config: Any) -> None:
    arguments = config["applications"][0]["args"]
    settings = settings_of(arguments)
    assert settings.auth_enabled
    deployment = config["applications"][0]["deployments"][0]
    assert deployment["graceful_shutdown_timeout_s"] > settings.drain_s
    assert deployment["max_ongoing_requests"] <= settings.max_waiting_images
    with pytest.raises(ValueError, match="no API keys"):
        settings_of({name: value for name, value in arguments.items() if name != "api_keys_file"})
