"""The command line, `grilly`: one file a command."""
