"""What programs beside the service import of this project: `mkdserve.client`."""
