"""The folder of artifacts: which products and versions there are, which are loaded, which one is served."""
