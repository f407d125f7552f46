"""What a certificate says of itself: whether it may be used now, with its key, and the application that it is for."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def certificate_fault(file: Path | None, private_key: Path | None = None) -> str:
    """What is wrong now with a certificate, or with its private key; empty for nothing or for none."""
    if file is None:
        return ""
    try:
        certificate = read_certificate(file)
    except (OSError, ValueError) as error:
        return f"{file}: cannot be read: {error}"
    now = datetime.datetime.now(datetime.UTC)
    if now > certificate.not_valid_after_utc:
        return f"{file}: has expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
    if now < certificate.not_valid_before_utc:
        return f"{file}: is not valid before {certificate.not_valid_before_utc:%Y-%m-%d}"
    return _key_fault(certificate, private_key)


def application_uri(file: Path) -> str:
    """The URI of the application that a certificate is for, empty where it names none. Raises OSError, ValueError."""
    from cryptography import x509

    try:
        names = read_certificate(file).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    return next(iter(names.get_values_for_type(x509.UniformResourceIdentifier)), "")


def read_certificate(file: Path) -> Certificate:
    """DER or PEM; of a chain the first one, which is the owner's. Raises OSError, ValueError."""
    from cryptography import x509

    load = x509.load_pem_x509_certificate if form_of(file) == "pem" else x509.load_der_x509_certificate
    return load(file.read_bytes())


def form_of(file: Path) -> Literal["pem", "der"]:
    """By what is in the file: its name may end in anything. Raises OSError."""
    return "pem" if file.read_bytes().lstrip().startswith(b"-----") else "der"


def _key_fault(certificate: Certificate, file: Path | None) -> str:
    from cryptography.hazmat.primitives import serialization

    if file is None:
        return ""
    load = serialization.load_pem_private_key
    try:
        data = file.read_bytes()
        key = load(data, None) if form_of(file) == "pem" else serialization.load_der_private_key(data, None)
    except (OSError, ValueError, TypeError) as error:  # TypeError: it needs a password
        return f"{file}: cannot be read: {error}"
    return "" if key.public_key() == certificate.public_key() else f"{file}: is not the key of the certificate"
