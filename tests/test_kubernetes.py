"""The Kubernetes manifests: against Kubernetes' own schemas, and against what the service and its image really do."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from models.variables import PASSED_ON
from service.metrics import METRICS
from service.run.check import most_bytes
from service.run.settings import ENV_PREFIX, Settings

FOLDER = Path(__file__).parents[1] / "docker" / "kubernetes"
# The oldest and the newest release that the manifests are held against: unhealthyPodEvictionPolicy came with 1.27.
RELEASES = ("1.27", "1.33")
HEADS = 100 << 20  # bytes: some thirty products
KINDS = {
    "Namespace",
    "PersistentVolumeClaim",
    "Deployment",
    "Service",
    "HorizontalPodAutoscaler",
    "PodDisruptionBudget",
    "NetworkPolicy",
}

Manifest = dict[str, Any]


def documents(*files: Path) -> Iterator[Manifest]:
    """Every document of these files."""
    for file in files:
        yield from yaml.safe_load_all(file.read_text(encoding="utf-8"))


def plain() -> list[Manifest]:
    """The manifests as they lie there."""
    return list(documents(*(file for file in sorted((FOLDER / "cpu").glob("*.yaml")) if file.stem != "kustomization")))


def of(kind: str) -> Manifest:
    """The one manifest of this kind."""
    (found,) = (manifest for manifest in plain() if manifest["kind"] == kind)
    return found


def kustomized(overlay: str) -> list[Manifest]:
    """What `kubectl apply -k` would send; skips where there is no kubectl."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run([kubectl, "kustomize", FOLDER / overlay], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def pod() -> Manifest:
    """The pods' specification."""
    spec: Manifest = of("Deployment")["spec"]["template"]["spec"]
    return spec


def container() -> Manifest:
    """The pods' one container."""
    (only,) = pod()["containers"]
    assert isinstance(only, dict)
    return only


def variables() -> dict[str, str]:
    """The environment of the container."""
    return {each["name"]: each["value"] for each in container()["env"]}


def seconds_until_a_kill() -> float:
    """What Kubernetes leaves between SIGTERM and SIGKILL."""
    return float(pod()["terminationGracePeriodSeconds"])


@pytest.mark.parametrize("release", RELEASES)
def test_every_manifest_follows_the_schema_of_its_kind_to_the_letter(release: str) -> None:
    assert {manifest["kind"] for manifest in plain()} == KINDS
    for manifest in plain():
        kubernetes_validate.validate(manifest, release, strict=True)


def test_a_misspelt_field_would_be_found() -> None:
    wrong = of("Deployment")
    wrong["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 60
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, RELEASES[-1], strict=True)


@pytest.mark.parametrize("overlay", ["cpu", "gpu"])
def test_what_kustomize_makes_of_them_follows_the_schemas_too(overlay: str) -> None:
    made = kustomized(overlay)
    assert {manifest["kind"] for manifest in made} == KINDS
    for manifest in made:
        kubernetes_validate.validate(manifest, RELEASES[-1], strict=True)
        assert manifest["metadata"].get("namespace", "mkdserve") == "mkdserve"


def test_the_overlay_for_gpus_takes_the_other_image_and_one_gpu_for_each_replica() -> None:
    (deployment,) = (manifest for manifest in kustomized("gpu") if manifest["kind"] == "Deployment")
    (only,) = deployment["spec"]["template"]["spec"]["containers"]
    assert only["image"].endswith(":cuda")
    assert only["resources"]["limits"]["nvidia.com/gpu"] == "1"


@pytest.mark.parametrize("overlay", ["cpu", "gpu", "monitoring"])
def test_every_resource_of_a_kustomization_is_there_and_none_is_forgotten(overlay: str) -> None:
    (kustomization,) = documents(FOLDER / overlay / "kustomization.yaml")
    listed = {(FOLDER / overlay / name).resolve() for name in kustomization["resources"]}
    assert all(path.exists() for path in listed)
    kept = {file for file in (FOLDER / overlay).glob("*.yaml") if file.stem not in {"kustomization", "adapter-values"}}
    assert {path.resolve() for path in kept} <= listed


def test_the_container_is_locked_down() -> None:
    assert container()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    context = pod()["securityContext"]
    assert context["runAsNonRoot"] is True
    dockerfile = (FOLDER.parents[1] / "Dockerfile").read_text(encoding="utf-8")
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in dockerfile
    assert context["fsGroup"] == context["runAsGroup"]  # else it could not read its key file
    assert pod()["automountServiceAccountToken"] is False


def test_requests_in_flight_are_answered_before_the_kill() -> None:
    drain = float(variables()["MKD_DRAIN_DELAY_S"]) + float(variables()["MKD_DRAIN_S"])
    assert seconds_until_a_kill() >= drain + 10
    ready = container()["readinessProbe"]
    noticed = ready["periodSeconds"] * ready["failureThreshold"]
    assert float(variables()["MKD_DRAIN_DELAY_S"]) > noticed


def test_the_memory_limit_holds_the_most_that_the_settings_allow() -> None:
    known = {ENV_PREFIX + name.upper(): name for name in Settings.model_fields}
    given = {known[name]: value for name, value in variables().items() if name not in PASSED_ON}
    settings = Settings.model_validate(given | {"host": "127.0.0.1"})
    (gpu,) = documents(FOLDER / "gpu" / "kustomization.yaml")
    patch = yaml.safe_load(gpu["patches"][0]["patch"])
    (wider,) = (step["value"] for step in patch if step["path"].endswith("/resources"))
    for limits, on_cpu in ((container()["resources"]["limits"], True), (wider["limits"], False)):
        most = most_bytes(settings, HEADS, on_cpu=on_cpu, cores=int(limits["cpu"]))
        assert most <= int(limits["memory"].removesuffix("Gi")) << 30


def test_each_probe_asks_what_it_is_for() -> None:
    paths = {name: container()[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    start = container()["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= 120


def test_every_variable_is_a_setting_that_takes_its_value() -> None:
    known = {ENV_PREFIX + name.upper(): name for name in Settings.model_fields}
    given = {known[name]: value for name, value in variables().items() if name not in PASSED_ON}
    settings = Settings.model_validate(given | {"host": "127.0.0.1"})
    assert settings.drain_s == float(variables()["MKD_DRAIN_S"])


def test_every_file_that_a_setting_names_lies_in_a_volume() -> None:
    mounts = {mount["mountPath"]: mount["name"] for mount in container()["volumeMounts"]}
    assert set(mounts.values()) == {volume["name"] for volume in pod()["volumes"]}
    for name in ("MKD_API_KEYS_FILE", "MKD_STATE_FILE"):
        assert str(Path(variables()[name]).parent) in mounts
    claims = {manifest["metadata"]["name"] for manifest in plain() if manifest["kind"] == "PersistentVolumeClaim"}
    named = {
        volume["persistentVolumeClaim"]["claimName"] for volume in pod()["volumes"] if "persistentVolumeClaim" in volume
    }
    assert named == claims


def test_everything_that_selects_the_pods_selects_these_pods() -> None:
    labels = of("Deployment")["spec"]["template"]["metadata"]["labels"].items()
    for kind in ("Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment"):
        spec = of(kind)["spec"]
        selector = spec.get("selector", spec.get("podSelector"))
        assert (selector.get("matchLabels") or selector).items() <= labels, kind
    target = of("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", of("Deployment")["metadata"]["name"])
    assert "replicas" not in of("Deployment")["spec"]


def test_the_autoscaler_asks_for_a_gauge_of_the_service_under_the_adapters_name() -> None:
    (values,) = documents(FOLDER / "monitoring" / "adapter-values.yaml")
    (rule,) = values["rules"]["custom"]
    gauge = next(spec for spec in METRICS if rule["seriesQuery"].startswith(spec.name + "{"))
    (metric,) = of("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == rule["name"]["as"] == gauge.name
    assert set(rule["resources"]["overrides"]) == {"namespace", "pod"}


def test_the_operator_finds_the_service_and_its_port() -> None:
    (monitor,) = documents(FOLDER / "monitoring" / "servicemonitor.yaml")
    (kustomization,) = documents(FOLDER / "cpu" / "kustomization.yaml")
    labels = of("Service")["metadata"]["labels"] | kustomization["labels"][0]["pairs"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    (endpoint,) = monitor["spec"]["endpoints"]
    (port,) = of("Service")["spec"]["ports"]
    assert endpoint["port"] == port["name"]
    assert port["targetPort"] == container()["ports"][0]["name"]
