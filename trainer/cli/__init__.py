"""The command line of the trainer: what each command takes, and what it does."""
