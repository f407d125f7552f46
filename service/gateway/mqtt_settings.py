"""How the gateway reaches an MQTT 5 broker, for links and outputs alike."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Self

from pydantic import Field, model_validator

from service.gateway.certificates import certificate_fault
from service.gateway.codes import Code
from service.gateway.libraries import need
from service.gateway.schema import LineSchema, SecretFile


class CertificateFault(ConnectionError):
    """A certificate cannot be used; the text names its file and says why."""


class Broker(LineSchema):
    """`broker = {...}`"""

    host: str = Field(default="127.0.0.1", description="Address of the broker.")
    port: int = Field(default=1883, ge=1, le=65535, description="Its port.")
    user: str = Field(default="", description="User name; empty for none.")
    password: SecretFile | None = Field(default=None, description="The user's password, as `{file = PATH}`.")
    ca_file: Path | None = Field(default=None, description="Certificates that vouch for the broker; turns TLS on.")
    certificate: Path | None = Field(
        default=None, description="The gateway's own certificate, PEM, if the broker asks."
    )
    private_key: Path | None = Field(default=None, description="Its private key, PEM, without a password.")
    keep_alive_s: int = Field(
        default=5, ge=1, le=600, description="A silent connection is lost after half as long again."
    )
    base: str = Field(default="mkd", pattern=r"^[^+#\x00]{1,200}$", description="First part of all topics.")

    def client(self, identifier: str, *, will_topic: str = "", will: bytes = b"", retain: bool = True) -> Any:
        """A client of aiomqtt, not yet connected. Its will is published at once where it vanishes."""
        aiomqtt = need("aiomqtt", "mqtt")
        return aiomqtt.Client(
            self.host,
            self.port,
            username=self.user or None,
            password=self.password.read() if self.password is not None else None,
            identifier=identifier,
            protocol=aiomqtt.ProtocolVersion.V5,
            will=aiomqtt.Will(will_topic, will, qos=1, retain=retain) if will_topic else None,
            keepalive=self.keep_alive_s,
            timeout=5,
            tls_context=self._tls(),
        )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if (self.certificate is None) != (self.private_key is None):
            raise ValueError("certificate and private_key go together")
        if self.certificate is not None and self.ca_file is None:
            raise ValueError("certificate needs ca_file, which turns TLS on")
        return self

    def _tls(self) -> ssl.SSLContext | None:
        """Read for each connection, so that a certificate that was replaced is taken without a restart."""
        if self.ca_file is None:
            return None
        if fault := certificate_fault(self.certificate, self.private_key):
            raise CertificateFault(fault)
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file))
        except (OSError, ssl.SSLError) as error:
            raise CertificateFault(f"{self.ca_file}: cannot be read: {error}") from None
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.private_key)
        return context


def code_of(error: Exception) -> Code:
    """What the PLC is told of a connection that failed."""
    is_certificate = isinstance(error, CertificateFault) or "CERTIFICATE_VERIFY_FAILED" in str(error)
    return Code.CERTIFICATE_INVALID if is_certificate else Code.LINK_LOST


def properties(kind: str, **members: object) -> Any:
    """MQTT 5 properties of a packet of that kind, by paho's names."""
    packets = need("paho.mqtt.packettypes", "mqtt").PacketTypes
    made = need("paho.mqtt.properties", "mqtt").Properties(getattr(packets, kind))
    for name, value in members.items():
        setattr(made, name, value)
    return made
