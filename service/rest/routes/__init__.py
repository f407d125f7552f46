"""The routes by who asks: infer (callers with images), ops (probes, scrapers, people), admin (who changes products)."""
