import re

import jax
import numpy as np
import pytest

from neural_computer.models import weights
from neural_computer.models.dit import DiT, DiTConfig
from neural_computer.models.injection import Injection
from neural_computer.models.weights import dit
from neural_computer.models.weights.rules import LAYOUTS
from neural_computer.sharding import path_of
from tests import checkpoints
from tests.checkpoints import SMALL, WAN_1_3B, WAN_14B, WAN_I2V_14B

IMAGE = SMALL | {"in_channels": 36, "image_width": 20}


def leaves(tree):
    return {path_of(keys): leaf for keys, leaf in jax.tree_util.tree_leaves_with_path(tree)}


@pytest.mark.parametrize(
    "config, billions", [(WAN_1_3B, 1.419), (WAN_14B, 14.288), (WAN_I2V_14B, 16.395)], ids=["1.3B", "14B", "I2V-14B"]
)
def test_parameters_as_published(config, billions):
    count = sum(leaf.size for leaf in jax.tree.leaves(weights.parameters("dit", config)))
    assert round(count / 1e9, 3) == billions


@pytest.mark.parametrize("config, fmt", [(IMAGE, "original"), (SMALL, "diffusers"), (WAN_I2V_14B, "diffusers")])
def test_sizes_are_read_from_shapes(config, fmt):
    shapes = dict(checkpoints.keys(config, fmt))
    found, table = weights.detect(shapes)
    assert (found, table.config, table.depth) == (fmt, config, config["layers"])
    report = weights.check(table, fmt, shapes)
    report.require_complete()
    assert set(report.used) == set(shapes)


@pytest.mark.parametrize("image", [False, True])
def test_every_parameter_has_one_rule(image):
    rules = dit.RULES if image else dit.TEXT
    paths = [rule.path for rule in rules]
    assert sorted(paths) == sorted(leaves(weights.parameters("dit", IMAGE if image else SMALL)))
    for fmt in weights.FORMATS:
        assert len({getattr(rule, fmt) for rule in rules}) == len(rules)


@pytest.mark.parametrize("fmt", weights.FORMATS)
def test_parameters_go_there_and_back(fmt):
    found = dict(checkpoints.tensors(IMAGE, fmt))
    shapes = {key: x.shape for key, x in found.items()}
    _, table = weights.detect(shapes)
    params = weights.params_from(table, fmt, found.__getitem__)
    wanted = leaves(weights.parameters("dit", table.config))
    flat = leaves(params)
    assert {path: x.shape for path, x in flat.items()} == {path: x.shape for path, x in wanted.items()}

    def piece(path, block):
        return flat[path] if block is None else flat[path][block]

    back = dict(weights.tensors_to(table, piece, weights.diffusers_shapes(table, fmt, shapes)))
    expected = dict(checkpoints.tensors(IMAGE, "diffusers"))
    assert set(back) == set(expected)
    for key, x in expected.items():
        np.testing.assert_array_equal(back[key], x, err_msg=key)


@pytest.mark.parametrize("kind, shape", [("conv", (5, 3, 2, 4, 6)), ("conv", (5, 3, 2, 4)), ("patch", (5, 3, 1, 2, 2))])
def test_layouts_are_undone(kind, shape):
    x = np.arange(np.prod(shape)).reshape(shape)
    here = LAYOUTS[kind].to_ours(x)
    assert here.shape[-1] == 5
    np.testing.assert_array_equal(LAYOUTS[kind].to_published(here, shape), x)


def test_patch_rows_are_height_width_channel():
    x = np.arange(2 * 3 * 2 * 2).reshape(2, 3, 1, 2, 2)
    assert LAYOUTS["patch"].to_ours(x)[(1 * 2 + 0) * 3 + 2, 1] == x[1, 2, 0, 1, 0]


# Keys that are not as they should be


def shapes_of(config=SMALL, fmt="diffusers", **changes):
    """Shapes by key, some changed; None takes a key away."""
    found = dict(checkpoints.keys(config, fmt)) | changes
    return {key: shape for key, shape in found.items() if shape is not None}


def problem(shapes):
    fmt, table = weights.detect(shapes)
    with pytest.raises(ValueError) as error:
        weights.check(table, fmt, shapes).require_complete()
    return str(error.value)


KEY = "blocks.1.attn1.to_k.weight"


def test_a_missing_key_is_named_with_the_nearest():
    line = problem(shapes_of(**{KEY: None, "blocks.1.attn1.to_kk.weight": (128, 128)}))
    assert line.startswith(f"{KEY}: is missing") and "blocks.1.attn1.to_kk.weight is there and unknown" in line


def test_a_shard_alone_is_named():
    shapes = shapes_of()
    half = {key: shape for key, shape in shapes.items() if "blocks.1" not in key or "scale_shift" in key}
    assert re.search(r"is missing \(and \d+ more\); is this one file of several\?", problem(half))


def test_a_wrong_shape_is_named_with_the_right_one():
    line = problem(shapes_of(**{KEY: (96, 128)}))
    assert (
        line
        == f"{KEY}: has shape (96, 128), which makes (128, 96) of {dit.BLOCK}/self_attn/k/kernel; it must make (128, 128)"
    )
    assert "has shape (7,)" in problem(shapes_of(**{KEY: (7,)}))


def test_a_key_that_computes_more_is_rejected_and_a_useless_one_is_not():
    line = problem(shapes_of(**{"blocks.0.attn2.add_q_proj.weight": (128, 128)}))
    assert "add_q_proj.weight: is unknown" in line
    shapes = shapes_of(IMAGE, **{"blocks.0.attn2.norm_added_q.weight": (128,)})
    fmt, table = weights.detect(shapes)
    report = weights.check(table, fmt, shapes)
    report.require_complete()
    assert report.unused == ("blocks.0.attn2.norm_added_q.weight",)


def test_a_size_that_cannot_be_read_is_named():
    with pytest.raises(ValueError, match="patch_embedding.weight: is missing .*; the DiT's sizes are read from it"):
        weights.detect(shapes_of(**{"patch_embedding.weight": None}))
    with pytest.raises(ValueError, match=re.escape("patch_embedding.weight: has shape (128, 64)")):
        weights.detect(shapes_of(**{"patch_embedding.weight": (128, 64)}))


def test_unknown_heads_must_be_given():
    narrow = shapes_of(SMALL | {"width": 48, "heads": 2})
    with pytest.raises(ValueError, match=r"heads: width=48 is no multiple of 128.*--heads=N"):
        weights.detect(narrow)
    assert weights.detect(narrow, heads=2)[1].config["heads"] == 2


@pytest.mark.parametrize(
    "keys, message",
    [
        (["head.modulatoin"], "head.modulatoin is nearest to the supported head.modulation"),
        (["head.modulation", "other"], "though head.modulation belongs to one: is this one file of several?"),
        (["layers.0.mlp.weight", "other"], r"2 keys of no supported network \(dit, .*\): layers.0.mlp.weight"),
    ],
)
def test_an_unknown_network_is_named(keys, message):
    with pytest.raises(ValueError, match=message):
        weights.detect(dict.fromkeys(keys, (4, 4)))


def test_prefixes_of_tools_are_taken_off():
    assert weights.strip_prefixes(["model.diffusion_model.a.b", "module.c", "model.d", "e"]) == {
        "a.b": "model.diffusion_model.a.b",
        "c": "module.c",
        "d": "model.d",
        "e": "e",
    }
    with pytest.raises(ValueError, match="model.a: a is there too"):
        weights.strip_prefixes(["a", "model.a"])


# Groups of blocks


@pytest.mark.parametrize("every", [1, 3])
def test_regrouped_blocks_fit_the_grouped_network(every):
    config = SMALL | {"layers": 6}
    found = dict(checkpoints.tensors(config))
    _, table = weights.detect({key: x.shape for key, x in found.items()})
    grouped = leaves(dit.regroup(weights.params_from(table, "diffusers", found.__getitem__), every))
    module = DiT(DiTConfig(**config | {"patch": (1, 2, 2)}), Injection(every))
    wanted = jax.eval_shape(lambda: weights.NETWORKS["dit"].init(module, jax.random.key(0)))
    assert {path: x.shape for path, x in grouped.items()} == {path: x.shape for path, x in leaves(wanted).items()}
    for i in range(6):
        mine = grouped[f"blocks/block_{i % every}/ffn/in/kernel"][i // every]
        np.testing.assert_array_equal(mine, found[f"blocks.{i}.ffn.net.0.proj.weight"].T)


def test_groups_must_divide_the_depth():
    found = dict(checkpoints.tensors(SMALL))
    _, table = weights.detect({key: x.shape for key, x in found.items()})
    with pytest.raises(ValueError, match="injection.every=3: must divide layers=2"):
        dit.regroup(weights.params_from(table, "diffusers", found.__getitem__), 3)
