"""Print docs/cli.md, made of the help of every command: see `make docs`."""

from pathlib import Path

import click

from cli.main import main

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"

_TOP = """\
# Commands

This page is the output of `--help`, written by `make docs`.

## Completion

One line completes commands, options, their values and the names of studies with the tabulator key:

```text
eval "$(_MOESD_PROBE_COMPLETE=bash_source moesd-probe)"     # bash 4.4 or newer, in ~/.bashrc
eval "$(_MOESD_PROBE_COMPLETE=zsh_source moesd-probe)"      # zsh, in ~/.zshrc, after compinit
_MOESD_PROBE_COMPLETE=fish_source moesd-probe | source      # fish, in ~/.config/fish/config.fish
```
"""


def reference() -> str:
    """Return the page as Markdown: the help of every group, each before that of its commands."""
    return "\n".join([_TOP, *_sections(main, "moesd-probe", None)])


def _sections(command: click.Command, name: str, parent: click.Context | None) -> list[str]:
    """The section of a command, and those of the commands below it."""
    parts = [_section(command, name, parent)]
    if isinstance(command, click.Group):
        with click.Context(command, info_name=name, parent=parent) as context:
            for below in command.list_commands(context):
                parts += _sections(command.commands[below], below, context)
    return parts


def _section(command: click.Command, name: str, parent: click.Context | None) -> str:
    with click.Context(command, info_name=name, parent=parent, terminal_width=90) as context:
        context.help_option_names = ["-h", "--help"]
        text = command.get_help(context)
    title = f"{parent.command_path} {name}" if parent else name
    return f"## {title}\n\n```text\n{text}\n```\n"


if __name__ == "__main__":
    click.echo(reference(), nl=False)
