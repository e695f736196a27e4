import pytest
import torch


@pytest.fixture
def two_cores():
    """Torch's threads, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
