"""What surrounds every request: the connection, its record and log line, problem+json, the OpenAPI document."""
