"""The wheel and the source distribution are complete, and the wheel works without the sources."""

import os
import shutil
import site
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parent.parent
PACKAGES = ("cli", "figures", "probe")


def run(*command, cwd):
    """The output of a command that sees no sources: neither on its path nor around it."""
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def names():
    """Every file that git tracks, but for the hidden ones, which no user of a release needs."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    return {name for name in run("git", "ls-files", cwd=ROOT).split() if not name.startswith(".")}


@pytest.fixture(scope="module")
def release(names, tmp_path_factory):
    """The source distribution, and the wheel that is built from it.

    A copy is built, so that the working tree stays clean.
    """
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in names:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, source, cwd=folder)
    (sdist,), (wheel,) = folder.glob("*.tar.gz"), folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(release, tmp_path_factory):
    """An environment with the wheel alone; dependencies are those of the running one.

    A path in a ``.pth`` file makes packages importable without running the ``.pth`` files beside
    them, so that an editable installation of moesd-probe stays invisible.
    """
    folder = tmp_path_factory.mktemp("empty")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    options = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    run(
        sys.executable, "-m", "pip", "--python", python, "install", *options, release[1], cwd=folder
    )
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return folder


def test_the_source_distribution_holds_every_file_of_the_repository(names, release):
    with tarfile.open(release[0]) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert names - packed == set()


def test_the_wheel_holds_every_file_of_the_packages_and_no_other(names, release):
    with zipfile.ZipFile(release[1]) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert packed == {name for name in names if name.split("/")[0] in PACKAGES}


def test_the_installed_command_works_without_the_sources(installed, tmp_path):
    where = "import cli, figures, probe; print(cli.__file__, figures.__file__, probe.__file__)"
    for path in run(installed / "bin" / "python", "-c", where, cwd=tmp_path).split():
        assert Path(path).is_relative_to(installed)

    command = installed / "bin" / "moesd-probe"
    assert "Usage: moesd-probe" in run(command, "--help", cwd=tmp_path)
    (tmp_path / "captions.txt").write_text("A man.\nA tree.\n")
    assert "2 captions" in run(command, "prompts", "captions.txt", cwd=tmp_path)
    run(command, "embed", "run", "--model", "tinytown", cwd=tmp_path)
    assert (tmp_path / "run" / "embeddings" / "states.safetensors").is_file()
