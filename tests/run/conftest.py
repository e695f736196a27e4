"""A finished run that a test may spoil, the bytes of a folder, and the command line."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.main import main


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


@pytest.fixture
def contents() -> Callable[[Path], dict[str, bytes]]:
    """The bytes of every file of a folder but its lock, by name."""

    def contents(folder: Path) -> dict[str, bytes]:
        paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

    return contents


@pytest.fixture(scope="session")
def call() -> Callable[..., Result]:
    """The result of a command."""

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return call


@pytest.fixture(scope="session")
def done(call: Callable[..., Result]) -> Callable[..., str]:
    """The standard output of a command that succeeds."""

    def done(*arguments: object) -> str:
        result = call(*arguments)
        assert result.exit_code == 0, result.output
        return str(result.stdout)

    return done


@pytest.fixture(scope="session")
def refusal(call: Callable[..., Result]) -> Callable[..., str]:
    """The one line on standard error of a command that is refused."""

    def refusal(*arguments: object, code: int = 1) -> str:
        result = call(*arguments)
        assert (result.exit_code, result.stdout) == (code, ""), result.output
        lines = result.stderr.splitlines()
        assert code == 2 or len(lines) == 1
        return str(lines[-1])

    return refusal
