"""The Dockerfile, the compose file and the alert rules, as far as they can be checked without a container engine."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.variables import PASSED_ON, WEIGHTS_DIR_ENV
from service.gateway.settings import GatewaySettings
from service.gateway.settings import read as read_line_file
from service.metrics import METRICS
from service.run.settings import ENV_PREFIX, Settings

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "containers.md").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SUFFIXES = ("_bucket", "_count", "_sum", "")


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("promtool is not installed (Debian: the package prometheus)")
    return subprocess.run([found, *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def stages() -> dict[str, str]:
    """Name of each stage -> its lines."""
    parts = re.split(r"^FROM \S+ AS ([\w-]+)$", DOCKERFILE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_compose_file_follows_the_compose_specification() -> None:
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.compose-spec",
        "docker-compose.yml",
    ]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_every_container_runs_without_privileges_on_a_read_only_root(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "memory" in service["deploy"]["resources"]["limits"]


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_ports_are_published_on_the_loopback_alone(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"][name].get("ports", []))


def test_the_service_and_what_watches_it_start_without_a_profile() -> None:
    plain = {name for name, service in COMPOSE["services"].items() if "profiles" not in service}
    assert plain == {"service", "prometheus", "grafana"}


def test_every_secret_is_a_file_and_every_named_volume_is_declared() -> None:
    assert all(set(secret) == {"file"} for secret in COMPOSE["secrets"].values())
    for service in COMPOSE["services"].values():
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
        sources = {volume.split(":")[0] for volume in service["volumes"] if not volume.startswith((".", "$"))}
        assert sources <= set(COMPOSE["volumes"])


def test_every_file_that_compose_mounts_from_the_checkout_is_there() -> None:
    made_by_the_operator = {"./artifacts", "./data", "./line"}
    for service in COMPOSE["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("./") and source not in made_by_the_operator:
                assert (ROOT / source).exists(), source


def test_grafana_finds_its_dashboards_and_its_prometheus_where_compose_puts_them() -> None:
    grafana = COMPOSE["services"]["grafana"]
    inside = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    provisioning = ROOT / "docker" / "grafana" / "provisioning"
    providers = [
        yaml.safe_load(file.read_text(encoding="utf-8")) for file in (provisioning / "dashboards").glob("*.yml")
    ]
    paths = {each["options"]["path"] for provider in providers for each in provider["providers"]}
    assert paths == {inside["./docker/grafana/dashboards"]}
    assert list((ROOT / "docker" / "grafana" / "dashboards").glob("*.json"))
    asked = {
        variable
        for file in (provisioning / "datasources").glob("*.yml")
        for variable in re.findall(r"\$\{(\w+)\}", file.read_text(encoding="utf-8"))
    }
    assert asked <= set(grafana["environment"])
    assert grafana["environment"]["PROMETHEUS_URL"] == "http://prometheus:9090"


def test_the_pages_line_file_is_one_that_the_composed_gateway_takes(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "key").write_text("mkd_key")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "line.toml").write_text(text.replace("/line/", f"{tmp_path}/"), encoding="utf-8")
    settings = read_line_file(tmp_path / "line.toml")
    line = COMPOSE["services"]["line"]
    assert f"127.0.0.1:${{MKD_LINE_PORT:-9108}}:{settings.gateway.port}" in line["ports"]
    assert f"line:{settings.gateway.state_dir}" in line["volumes"]
    host, port = settings.service.url.removeprefix("http://").split(":")
    assert host in COMPOSE["services"]["service"]["networks"]["default"]["aliases"]
    assert f"MKD_PORT={port} " in DOCKERFILE
    extras = line["build"]["args"]["EXTRAS"].split()
    assert extras == ["line"]


def test_the_pages_overrides_are_of_services_that_compose_has() -> None:
    overrides = [yaml.safe_load(text) for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
    assert len(overrides) == 2
    for override in overrides:
        assert set(override["services"]) <= set(COMPOSE["services"])
    (volume,) = overrides[0]["services"]["service"]["volumes"]
    assert f"{volume}:ro" in COMPOSE["services"]["service"]["volumes"]  # the same place, which the override takes over


def test_compose_leaves_the_service_longer_than_its_drain() -> None:
    service = COMPOSE["services"]["service"]
    assert float(service["stop_grace_period"].removesuffix("s")) > float(service["environment"]["MKD_DRAIN_S"])


def test_every_build_target_of_compose_is_a_stage() -> None:
    targets = {service["build"]["target"] for service in COMPOSE["services"].values() if "build" in service}
    assert targets == {"cpu", "cuda"}
    assert targets <= set(stages())


def test_every_variable_that_the_containers_set_is_a_setting() -> None:
    known = {ENV_PREFIX + name.upper() for name in Settings.model_fields} | {*PASSED_ON}
    final = "".join(stages()[name] for name in ("runtime", "cuda", "cpu"))
    set_ = set(re.findall(r"\b(MKD_[A-Z_]+)=", final))
    for service in COMPOSE["services"].values():
        set_ |= {name for name in service.get("environment", {}) if name.startswith(ENV_PREFIX)}
    assert len(set_) >= 6
    assert set_ <= known


def test_every_stage_declares_the_arguments_that_it_uses() -> None:
    """Buildah hands none on from the stage that it builds upon; an argument that is not declared is empty, silently."""
    used = {name: set(re.findall(r"\$\{([A-Z_]+)\}", text)) for name, text in stages().items()}
    of_the_image = set(re.findall(r"^ARG (\w+)", DOCKERFILE, re.MULTILINE)) - {"BASE", "BUILD_BASE"}  # of FROM lines
    assert of_the_image == {"EXTRAS", "WEIGHTS"}
    for name, text in stages().items():
        declared = set(re.findall(r"^ARG (\w+)", text, re.MULTILINE))
        assert used[name] & of_the_image <= declared, name


def test_the_pages_table_of_build_arguments_gives_their_defaults() -> None:
    """Of the Dockerfile, a reference to another argument as `the same`."""
    said = dict(re.findall(r"^\| `([A-Z_]+)` \| ([^|]+) \|", PAGE, re.MULTILINE))
    defaults = dict(re.findall(r'^ARG (\w+)="?([^"\n]*)"?$', DOCKERFILE, re.MULTILINE))
    assert {name: value.strip("`") for name, value in said.items()} == defaults | {"BUILD_BASE": "the same"}


def test_what_the_image_writes_lies_in_the_volume_of_the_state_and_weights_apart_from_it() -> None:
    runtime = dict(re.findall(r"\b(MKD_[A-Z_]+)=(\S+)", stages()["runtime"]))
    for name in ("MKD_CACHE_DIR", "MKD_FEEDBACK", "MKD_TRAINING_FOLDER"):
        assert runtime[name].startswith("/state/")
    assert runtime[WEIGHTS_DIR_ENV] == "/weights"
    assert "state:/state" in COMPOSE["services"]["service"]["volumes"]


def test_the_image_holds_every_package_of_the_distribution() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {name.removesuffix("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    for stage in ("build-cpu", "build-cuda"):
        assert packages <= set(re.findall(r"^COPY (\w+) \./\w+$", stages()[stage], re.MULTILINE))


def test_every_extra_that_an_image_is_built_with_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    built = [service["build"].get("args", {}) for service in COMPOSE["services"].values() if "build" in service]
    named = {extra for arguments in built for extra in arguments.get("EXTRAS", "").split()}
    (default,) = re.findall(r'^ARG EXTRAS="(.*)"$', DOCKERFILE, re.MULTILINE)
    assert named | set(default.split()) <= set(project["optional-dependencies"])
    commands = {service["entrypoint"][0] for service in COMPOSE["services"].values() if "entrypoint" in service}
    assert commands <= set(project["scripts"])


def test_the_image_runs_as_a_fixed_user_with_an_entrypoint_that_gets_the_signals() -> None:
    runtime = stages()["runtime"]
    assert re.search(r"^USER 10001:10001$", runtime, re.MULTILINE)
    assert re.search(r'^ENTRYPOINT \["python", "-m", "service"\]$', runtime, re.MULTILINE)
    assert "/readyz" in runtime[runtime.index("HEALTHCHECK") :]


def test_the_image_asks_for_health_with_code_that_compiles() -> None:
    command = re.search(r'HEALTHCHECK.*?CMD (\["python", "-c", .*?\])$', DOCKERFILE, re.MULTILINE | re.DOTALL)
    assert command is not None
    compile(json.loads(command[1])[2], "HEALTHCHECK", "exec")


def test_the_build_context_holds_what_the_dockerfile_copies_and_no_more() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in lines
    let_in = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source.removeprefix("./")
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    }
    assert let_in == copied
    assert [name for name in sorted(let_in) if not (ROOT / name).exists()] == []


def test_the_alerts_and_their_tests_speak_of_metrics_that_exist() -> None:
    known = {spec.name + suffix for spec in METRICS for suffix in SUFFIXES}
    for name in ("alerts.yml", "alerts_test.yml"):
        text = (ROOT / "docker" / name).read_text(encoding="utf-8")
        # In rules and series a metric is a word of its own; in prose it is quoted by nothing, and must exist as well.
        assert set(re.findall(r"\bmkd_\w+", text)) <= known


def test_every_alert_has_a_test() -> None:
    rules = yaml.safe_load((ROOT / "docker" / "alerts.yml").read_text(encoding="utf-8"))
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    tested = (ROOT / "docker" / "alerts_test.yml").read_text(encoding="utf-8")
    assert [alert for alert in sorted(alerts) if f'{{alertname="{alert}", alertstate="firing"' not in tested] == []


def test_promtool_takes_the_rules_and_they_fire_as_they_should() -> None:
    checked = promtool("check", "rules", "docker/alerts.yml")
    assert checked.returncode == 0, checked.stderr + checked.stdout
    tested = promtool("test", "rules", "docker/alerts_test.yml")
    assert tested.returncode == 0, tested.stderr + tested.stdout


def test_promtool_takes_the_configuration() -> None:
    checked = promtool("check", "config", "--syntax-only", "docker/prometheus.yml")
    assert checked.returncode == 0, checked.stderr + checked.stdout


def test_prometheus_scrapes_service_and_gateway_by_their_names_and_has_the_rules_of_both() -> None:
    config = yaml.safe_load((ROOT / "docker" / "prometheus.yml").read_text(encoding="utf-8"))
    jobs = {job["job_name"]: job["dns_sd_configs"][0] for job in config["scrape_configs"]}
    assert {name: job["names"] for name, job in jobs.items()} == {"mkdserve": ["inspection"], "mkd-line": ["line"]}
    assert jobs["mkd-line"]["port"] == GatewaySettings().port
    assert "line" in COMPOSE["services"]
    mounted = dict(volume.split(":")[:2] for volume in COMPOSE["services"]["prometheus"]["volumes"])
    for file in config["rule_files"]:
        assert mounted[f"./docker/{file}"] == f"/etc/prometheus/{file}"
    assert set(config["rule_files"]) == {"alerts.yml", "line_alerts.yml"}
