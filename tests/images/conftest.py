import numpy as np
import pytest
import torch

from probe.images.pipelines import load_pipeline


@pytest.fixture
def two_cores():
    """Torch's threads, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pipeline(pipeline_folder):
    return load_pipeline(pipeline_folder)


@pytest.fixture(scope="module")
def images():
    """Six images of noise, shape (6, 16, 16, 3)."""
    return np.random.default_rng(0).integers(0, 256, size=(6, 16, 16, 3), dtype=np.uint8)
