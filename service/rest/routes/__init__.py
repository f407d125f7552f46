"""The routes by who asks: infer (images), operation and drift (probes and people), admin (who changes products)."""
