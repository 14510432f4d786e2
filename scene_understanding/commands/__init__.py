"""What the command line does, one module a command; `cli.py` only declares options."""
