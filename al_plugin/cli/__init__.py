"""The command `al`: one file per command, each parses, calls, prints."""
