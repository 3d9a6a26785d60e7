"""The commands: one file a verb, and their table (table.py).

The file of a command ends in its `COMMAND`; the docstring of its `run` is the HELP text. A new one
is a new file and a line in the table.
"""
