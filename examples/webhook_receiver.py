"""Receives the line gateway's webhooks and checks their signatures: `python -m examples.webhook_receiver SECRET_FILE`.

A message is taken once: its id is kept, and a message that comes again is answered 200 without doing anything again.
Only the standard library is used, so that the file can be copied to where it is needed.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

OLDEST_S = 300  # a signature that is older may have been recorded by somebody
LARGEST_BYTES = 1 << 20


def is_signed(secret: str, timestamp: str, signature: str, body: bytes, now: float) -> bool:
    """Whether the message was signed with the secret, not long ago."""
    if not timestamp.isascii() or not timestamp.isdigit() or abs(now - int(timestamp)) > OLDEST_S:
        return False
    code = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(signature.encode(), f"v1={code}".encode())


class Receiver(BaseHTTPRequestHandler):
    """Prints what it is told, one line of JSON each."""

    secret = ""
    taken: frozenset[str] = frozenset()

    def do_POST(self) -> None:
        """One message."""
        size = int(self.headers.get("Content-Length") or 0)
        if not 0 < size <= LARGEST_BYTES:
            return self._answer(413)
        body = self.rfile.read(size)
        given = [self.headers.get(name, "") for name in ("Webhook-Timestamp", "Webhook-Signature", "Webhook-Id")]
        if not is_signed(self.secret, given[0], given[1], body, time.time()):
            return self._answer(401)
        if given[2] not in type(self).taken:
            print(json.dumps({"id": given[2], **json.loads(body)}), flush=True)
            type(self).taken |= {given[2]}
        return self._answer(200)

    def log_message(self, *_: object) -> None:
        """No line for each request."""

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("secret_file", type=Path)
    options.add_argument("--port", type=int, default=9200)
    given = options.parse_args()
    Receiver.secret = given.secret_file.read_text(encoding="utf-8").strip()
    ThreadingHTTPServer(("127.0.0.1", given.port), Receiver).serve_forever()


if __name__ == "__main__":
    main()
