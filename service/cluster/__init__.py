"""The service as replicas of a Ray Serve application: what `service.cluster.application` puts together."""
