"""Serves the protocol over gRPC; needs the extra `grpc`."""
