"""The line gateway: one process between PLC, camera and judging service. See docs/line.md."""
