"""Help in named groups: commands by purpose, options by subject."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

GENERAL = "Options"
ADVANCED = "Advanced"
_LAST = (GENERAL, ADVANCED)


class Option(click.Option):
    """An option that stands in a named group of the help."""

    def __init__(self, *args: Any, group: str = GENERAL, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.group = group


class GroupedOptions(click.Command):
    """A command whose options stand in groups: named ones, then `GENERAL`, then `ADVANCED`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section a group."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and isinstance(param, click.Option):
                groups.setdefault(getattr(param, "group", GENERAL), []).append(record)
        for name in sorted(groups, key=lambda name: _LAST.index(name) + 1 if name in _LAST else 0):
            with formatter.section(name):
                formatter.write_dl(groups[name])


class GroupedCommands(click.Group):
    """A group whose commands stand in sections; its own options are for its epilog to name."""

    sections: Mapping[str, Sequence[click.Command]] = {}

    def add_sections(self, sections: Mapping[str, Sequence[click.Command]]) -> None:
        """Add commands, in the order of the help."""
        self.sections = sections
        for command in (each for section in sections.values() for each in section):
            self.add_command(command)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Commands in the order in which they were added."""
        return list(self.commands)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section a purpose, with a line a command."""
        width = max(map(len, self.commands))
        for title, commands in self.sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (f"{each.name:<{width}}", each.get_short_help_str(formatter.width - 13))
                        for each in commands
                    ]
                )
