"""Shell nodes: programs that are run without a shell, with values that stay one argument each.

A command is split into arguments first and its `{expressions}` are filled in afterwards, so that nothing that a value
contains can begin another argument, another command or another option. What a value could still do is refused: name
the program, be part of a script that an interpreter reads, or pass for an option.
"""

from dagflow.declarative.shell.command import ReadyCommand, ShellCommand
from dagflow.declarative.shell.running import run_shell
from dagflow.declarative.shell.splitting import split_command

__all__ = ["ReadyCommand", "ShellCommand", "run_shell", "split_command"]
