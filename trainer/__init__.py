"""The offline half: a folder of good images in, a calibrated artifact out, and reports on labelled sets."""
