"""line.toml as checked settings: the gateway, the judging service and its stations."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError, model_validator

from service.gateway.links.ads_client import AdsSettings
from service.gateway.links.ethernetip_client import EtherNetIpSettings
from service.gateway.links.hot_folder import HotFolderSettings
from service.gateway.links.http_link import HttpLinkSettings
from service.gateway.links.modbus_client import ModbusClientSettings
from service.gateway.links.modbus_server import ModbusServerSettings
from service.gateway.links.mqtt_link import MqttLinkSettings
from service.gateway.links.opcua_server import OpcUaServerSettings
from service.gateway.links.s7_client import S7Settings
from service.gateway.outputs.mqtt import MqttOutputSettings
from service.gateway.outputs.sparkplug import SparkplugSettings
from service.gateway.outputs.webhook import WebhookSettings
from service.gateway.schema import LineSchema, SecretFile, StationName
from service.gateway.sources.aravis_camera import AravisSettings
from service.gateway.sources.files import FilesSettings
from service.gateway.sources.pylon_camera import PylonSettings
from service.gateway.sources.video import VideoSettings

LinkSettings = Annotated[
    AdsSettings
    | EtherNetIpSettings
    | HotFolderSettings
    | HttpLinkSettings
    | ModbusClientSettings
    | ModbusServerSettings
    | MqttLinkSettings
    | OpcUaServerSettings
    | S7Settings,
    Field(discriminator="kind"),
]
OutputChoice = Annotated[MqttOutputSettings | SparkplugSettings | WebhookSettings, Field(discriminator="kind")]
SourceSettings = Annotated[AravisSettings | FilesSettings | PylonSettings | VideoSettings, Field(discriminator="kind")]


class LineFileError(ValueError):
    """line.toml cannot be used; the text has a line for each fault."""


class GatewaySettings(LineSchema):
    """`[gateway]`"""

    host: str = Field(default="127.0.0.1", description="Address of the gateway's own HTTP server.")
    port: int = Field(default=9108, ge=0, le=65535, description="Its port: metrics, states and HTTP triggers; 0: none.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged.")
    state_dir: Path = Field(default=Path("mkd-line-state"), description="Folder of spools.")
    audit_folder: Path | None = Field(
        default=None, description="Folder of the audit trail of answers, read by mkd-audit; none: no trail."
    )
    audit_keep_days: int = Field(
        default=0, ge=0, description="Days after which whole old files of the trail are removed; 0 for never."
    )
    heartbeat_ms: float = Field(default=500, ge=10, le=10000, description="Time between two heartbeats.")


class ServiceSettings(LineSchema):
    """`[service]`"""

    url: str = Field(default="http://127.0.0.1:8000", pattern=r"^https?://", description="Address of the service.")
    key: SecretFile | None = Field(default=None, description="API key with the scope infer, as `{file = PATH}`.")
    check_ms: float = Field(default=1000, ge=100, le=60000, description="Time between two looks at its readiness.")


class StationSettings(LineSchema):
    """`[[station]]`"""

    name: StationName = Field(description="Name in logs, metrics and answers.")
    window_ms: float = Field(gt=0, le=600000, description="Time from trigger to answer; then it is REJECT.")
    recipes: dict[str, str] = Field(min_length=1, description="Recipe to product, as in `{1 = 'bolt'}`.")
    plc_silent_after_ms: float = Field(
        default=0,
        ge=0,
        le=600000,
        description="A PLC whose heartbeat stands still for so long is lost; 0: not watched.",
    )
    picture_size: Literal["seen", "any"] = Field(
        default="seen", description="Sizes of pictures: those that the artifact's calibration has seen, or any."
    )
    link: LinkSettings = Field(description="How triggers come and answers go.")
    source: SourceSettings | None = Field(default=None, description="Where pictures come from, if not by the link.")


class LineSettings(LineSchema):
    """All of line.toml."""

    gateway: GatewaySettings = GatewaySettings()
    service: ServiceSettings = ServiceSettings()
    station: list[StationSettings] = Field(min_length=1)
    output: list[OutputChoice] = Field(default=[], description="Where answers are told besides.")

    @model_validator(mode="after")
    def _nothing_is_claimed_twice(self) -> LineSettings:
        names = [station.name for station in self.station]
        for name in {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two stations are called {name}")
        outputs = [output.name for output in self.output]
        for name in {name for name in outputs if outputs.count(name) > 1}:
            raise ValueError(f"two outputs are called {name}")
        owners: dict[str, str] = {}
        for station in self.station:
            for claim in sorted(station.link.claims()):
                if claim in owners:
                    raise ValueError(f"stations {owners[claim]} and {station.name} both claim {claim}")
                owners[claim] = station.name
        return self


def read(file: Path) -> LineSettings:
    """The settings of a file; raises LineFileError with every fault in words."""
    try:
        text = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LineFileError(f"{file}: {error}") from None
    try:
        return LineSettings.model_validate(text)
    except ValidationError as error:
        rows = ((row["loc"], row["msg"]) for row in error.errors())
        raise LineFileError("\n".join(f"{file}: {_place(where)}{what}" for where, what in rows)) from None


def _place(location: Iterable[int | str]) -> str:
    where = ".".join(map(str, location))
    return f"{where}: " if where else ""
