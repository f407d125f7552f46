"""From the command line to a running process and back: assembly, one or several processes, drain and exit code."""
