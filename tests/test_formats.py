"""What a release wrote, later ones read: one tiny trained computer and one small data set of every format.

`python -m tests.test_formats tests/fixtures/formatN` writes those of the present format; they are never written anew.
"""

import json
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import neural_computer as nc
from neural_computer.configs import cligen
from neural_computer.errors import Error
from neural_computer.formats import FORMAT, check_format

FIXTURES = Path(__file__).parent / "fixtures"
FORMATS = sorted(FIXTURES.glob("format*"))


def total(trained: nc.Trained) -> float:
    """The sum of all absolute parameters: what a fixture is recognised by."""
    return float(sum(np.abs(np.asarray(leaf, np.float64)).sum() for leaf in jax.tree.leaves(trained.params)))


def write(folder: Path) -> None:
    """A data set of four clips, two updates on it, the same computer saved to be shared, and the sum of its parameters."""
    rng = np.random.default_rng(0)
    with nc.EpisodeWriter(folder / "data", window=5) as writer:
        for i in range(4):
            frames = rng.integers(0, 2, (5, 4, 8, 3)).repeat(4, axis=1).repeat(4, axis=2).astype(np.uint8) * 255
            writer.write(nc.Episode(f"clip-{i}", frames, fps=5, captions={"plain": f"clip {i}"}))
    config = cligen.get_config("tiny")
    config.data.update(directory=str(folder / "data"), batch_size=2)
    config.network.update(layers=1)
    config.schedule.update(steps=2, checkpoint_every=2, max_to_keep=1)
    config.mesh.data = 1
    nc.train.fit(nc.build(config), nc.ClipSource(folder / "data", "train", 5), folder / "workdir")
    trained = nc.load(folder / "workdir")
    trained.save(folder / "saved")
    (folder / "expected.json").write_text(json.dumps({"step": trained.step, "total": total(trained)}) + "\n")


def test_the_present_format_has_its_fixture():
    assert f"format{FORMAT}" in [path.name for path in FORMATS]


@pytest.mark.parametrize("folder", FORMATS, ids=lambda path: path.name)
@pytest.mark.parametrize("kind", ["workdir", "saved"])
def test_a_computer_of_every_format_loads(folder, kind):
    trained, expected = nc.load(folder / kind), json.loads((folder / "expected.json").read_text())
    assert trained.step == expected["step"]
    np.testing.assert_allclose(total(trained), expected["total"], rtol=1e-6)


@pytest.mark.parametrize("folder", FORMATS, ids=lambda path: path.name)
def test_a_data_set_of_every_format_is_read(folder):
    source = nc.ClipSource(folder / "data", "train", 5)
    assert [source[i].captions["plain"] for i in range(len(source))] == [f"clip {i}" for i in range(4)]
    assert source[0].frames.shape == (5, 16, 32, 3) and set(np.unique(source[0].frames)) == {0, 255}


@pytest.mark.parametrize(("number", "message"), [(None, "made before format 1"), (99, "is of format 99, this release")])
def test_another_format_is_one_line(number, message):
    with pytest.raises(Error, match=rf"^runs/x: .*{message}") as caught:
        check_format(number, "runs/x")
    assert "\n" not in str(caught.value)


def test_an_old_config_says_what_its_keys_are_called_now(tmp_path):
    values = json.loads((FORMATS[0] / "workdir" / "config.json").read_text())
    del values["format"]
    values["sampling"]["target"] = "x"
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(nc.ConfigError, match=r"config.sampling.target: renamed to config.network.prediction_type"):
        nc.load(tmp_path)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
