"""The three forms of a request body: bytes as they arrive in, encoded images out."""
