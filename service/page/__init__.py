"""The page for operators at /ui: static files that speak to the HTTP interface alone, served by the service itself."""
