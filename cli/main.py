"""The command `moesd-probe`: its commands in the sections of its help; each calls the library."""

import os

import click

from cli.audit import audit, power, prompts
from cli.check import check
from cli.errors import OneLineErrors
from cli.results import card, export, info, inspect, plan, publish
from cli.stages import embed, evaluate, fit, generate, report, run_all, train, visualize
from cli.studies import compare, concept, study, sweep
from probe import __version__

# Bars and chatter of the libraries; read when they are first imported.
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")

_EPILOG = """\b
Options: --version, --debug (show the traceback of an error), -h, --help
Exit codes: 0 done, 1 error, 2 usage, 3 check failed, 130 Ctrl-C, 143 SIGTERM
"""


@click.group(
    cls=OneLineErrors, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG
)
@click.version_option(__version__, prog_name="moesd-probe")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def main(debug: bool) -> None:
    """Find, correct and prove gender bias in text-to-image models. RUN is a folder with everything
    about one model; start one with `moesd-probe run RUN --model tinytown`.
    """


main.add_sections(
    {
        "Pipeline": (run_all, embed, fit, train, generate, evaluate, visualize, report),
        "Look closer": (study, concept, inspect, info),
        "Audit what others made": (audit, power, prompts),
        "Compare": (compare, sweep),
        "Ship": (check, plan, export, publish, card),
    }
)
