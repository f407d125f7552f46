"""What a process of ours has to know and to say about the cores that it runs on."""
