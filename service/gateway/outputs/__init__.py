"""Where answers are told besides the PLC: MQTT and webhooks, each behind a spool on the disk."""
