"""The notebooks run, and are stored as they ran."""

import ast
import os
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parent.parent / "analysis_notebooks"
NOTEBOOKS = sorted(FOLDER.glob("0*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_every_import_of_a_notebook_is_there(path):
    for cell in code_cells(path):
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                exec(ast.unparse(node), {})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_every_notebook_is_stored_executed_in_order(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs
    assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_notebooks_run_again_from_nothing(tmp_path, monkeypatch):
    from nbclient import NotebookClient

    from probe import Experiment

    # The notebooks go on with the settings that they find: a short training is as good here, and so
    # are few images to teach and measure experts by, and images of four steps.
    brief = {"latent_steps": 10, "diffusion_steps": 10, "batch_size": 16}
    brief |= {"measured_images": 1}
    for name in ("run", "run-joint"):  # the joint correction has a run of its own
        experiment = Experiment.create(tmp_path / name, model="tinytown", seed=7)
        experiment.set("train", **brief).set("generate", n_steps=4)
    monkeypatch.setenv("MOESD_RUN", str(tmp_path / "run"))
    monkeypatch.setenv("MOESD_N_IMAGES", "4")
    monkeypatch.setenv(
        "PYTHONPATH", str(FOLDER.parent) + os.pathsep + os.environ.get("PYTHONPATH", "")
    )
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(
            notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": FOLDER}}
        ).execute()
