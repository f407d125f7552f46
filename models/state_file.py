"""The name of the file beside the products that keeps which versions operators have pinned."""

STATE_FILE = ".mkd-state.json"
