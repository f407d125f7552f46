"""What builds, tries and runs the containers; nothing of it is installed."""
