"""The methods, each in a folder of its own: how it is fitted to good parts, and the head that judges with it."""
