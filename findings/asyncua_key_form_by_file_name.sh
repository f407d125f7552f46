#!/usr/bin/env bash
# asyncua 2.1.0: load_private_key and load_certificate go by the file's name alone. A key in PEM whose file is called
# server.key, as openssl's own examples call it, is read as DER: ValueError, ASN.1 parsing error. Its bytes are not looked at.
# Why it matters: an encrypted OPC UA server does not start with a key that every other tool takes, and the error speaks of
# unsupported algorithms. Work-around: name the form, load_private_key(path, None, "pem"), by what the file begins with.
set -euo pipefail
source "$(dirname "$0")/environment.bash"
in_a_fresh_environment asyncua==2.1.0 <<'PYTHON'
import asyncio
from importlib.metadata import version
from pathlib import Path

from asyncua.crypto.uacrypto import load_private_key
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
pem = key.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
for name in ("server.pem", "server.key"):
    Path(name).write_bytes(pem)


def outcome(name, form=None):
    try:
        asyncio.run(load_private_key(name, None, form))
    except ValueError as error:
        return f"ValueError: {str(error)[:60]}..."
    return "read"


seen = outcome("server.pem"), outcome("server.key"), outcome("server.key", "pem")
print("asyncua", version("asyncua"), "- server.pem:", seen[0], "- the same bytes as server.key:", seen[1])
print("server.key with the form named:", seen[2])
raise SystemExit(0 if seen[0] == seen[2] == "read" and seen[1] != "read" else 1)
PYTHON
