"""The method: source network, heads, discrepancy, anomaly map, calibration, artifact. No HTTP and no Ray here."""
