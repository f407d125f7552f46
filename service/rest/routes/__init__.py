"""The routes by who asks: infer (images), operation and drift (probes, people), admin and trainings (operators)."""
