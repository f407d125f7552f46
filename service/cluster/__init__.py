"""The service as replicas of a Ray Serve application: what `service.ray_app` puts together."""
