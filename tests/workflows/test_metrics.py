"""R3D-18's weights from a file."""

import os

import numpy as np
import pytest

from neural_computer.workflows.metrics import MetricOptions, r3d18
from tests import needs
from tests.evals.test_features import drawn


@pytest.mark.parametrize("form", ["safetensors", "npz", "pth"])
def test_r3d18_is_read_from_any_file_and_nothing_in_it_is_run(form, tmp_path):
    tensors, path = drawn(), tmp_path / f"r3d_18.{form}"
    if form == "safetensors":
        from safetensors.numpy import save_file

        save_file(tensors, path)
    elif form == "npz":
        np.savez(path, **tensors)
    else:
        torch = needs.package("torch", "parity")
        torch.save({key: torch.tensor(x) for key, x in tensors.items()}, path)
    params = r3d18(path)
    np.testing.assert_array_equal(params["stem"]["conv"]["kernel"], tensors["stem.0.weight"].transpose(2, 3, 4, 1, 0))
    if form == "pth":
        torch.save({"stem.0.weight": os.system}, path)
        with pytest.raises(ValueError, match="cannot be read|holds more than tensors"):
            r3d18(path)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match=f"r3d18=.*r3d_18.{form}: "):
        r3d18(path)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="r3d18=.*x: is no file"):
        MetricOptions(r3d18=tmp_path / "x").scorer()
