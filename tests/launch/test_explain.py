"""What explain says, against what XLA compiles and what the formulas of models.flops say; and how little it takes."""

import math
import re
import subprocess
import sys
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer import build, sharding
from neural_computer.configs import cligen, sizes
from neural_computer.experiment import Experiment
from neural_computer.models import flops
from neural_computer.train import loop
from neural_computer.train.cost import Cost, cost, frozen_shapes, operations, peak
from neural_computer.types import Batch, FrozenParams, TokenIds
from neural_computer.workflows import explain
from tests.conftest import ROOT, program
from tests.once import traced_once  # noqa: F401

pytestmark = pytest.mark.usefixtures("traced_once")
WAN = {
    "data.frames": 9,
    "data.height": 64,
    "data.width": 128,
    "network.width": 256,
    "network.ffn": 1024,
    "network.positions": (0, 0, 0),
    "network.prediction_type": "v",
    "network.condition_layout": "wan",
    "network.clean_first_frame": False,
}
"""Micro in the shape of Wan: 96 tokens, four blocks of two heads."""
TOKENS, ROWS = 96, 8
LORA = {"network.lora": 1, "optimizer.trainable": "lora"}


def experiment(changes: dict, preset: str = "micro") -> Experiment:
    config = cligen.get_config(preset)
    config.update_from_flattened_dict({"data.batch_size": ROWS, **changes})
    return build.build(config)


def blank(small: Experiment) -> Batch:
    """A batch of zeros that takes no memory."""
    data, rows = small.data, small.data.batch_size
    return Batch(
        index=np.broadcast_to(np.int32(0), (rows,)),
        video=np.broadcast_to(np.uint8(0), (rows, data.frames, data.height, data.width, 3)),
        text=TokenIds(np.broadcast_to(np.int32(0), (rows, small.tokenizer.length))),
    )


@cache
def explained(**changes) -> Cost:
    """The cost of the small Wan; sizes of the mesh's axes, and values of the config with dots as double underscores."""
    mesh = jax.sharding.AbstractMesh(tuple(changes.get(axis, 1) for axis in sharding.AXES), sharding.AXES)
    values = {name.replace("__", "."): value for name, value in changes.items() if name not in sharding.AXES}
    small = experiment(WAN | values)
    return cost(small.trainer, frozen_shapes(small.trainer, {}), blank(small), mesh)


PUBLISHED = {"network.dtype": "float32", "network.attention": "blockwise"}
"""A CPU multiplies bfloat16 as float32, and neither cuDNN nor splash is there."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("preset", "changes", "sizes"),
    [
        ("micro", {}, {}),
        ("micro", {}, {"fsdp": 8}),
        ("micro", WAN | LORA | {"network.remat": "full", "network.attention": "blockwise"}, {}),
        ("wan_1_3b_i2v", PUBLISHED, {"fsdp": 8}),
        ("wan_1_3b_i2v", PUBLISHED, {"fsdp": 2, "context": 2, "tensor": 2}),
        ("wan_14b_i2v", PUBLISHED, {"fsdp": 8}),
    ],
    ids=["micro", "micro-fsdp", "micro-lora", "wan_1_3b_i2v", "wan_1_3b_i2v-mixed", "wan_14b_i2v"],
)
def test_memory_agrees_with_what_is_compiled(preset, changes, sizes):
    """The real update on encoded videos, compiled for CPU devices: what it is given and needs beside, within a quarter."""
    small, sizes = experiment(changes, preset), sizes or {"data": 1}
    mesh = sharding.make_mesh(sizes, jax.devices()[: math.prod(sizes.values())])
    trainer, frozen = small.trainer, frozen_shapes(small.trainer, {})
    batch = jax.eval_shape(trainer.encode, frozen, blank(small))
    frozen = FrozenParams(network_held=frozen.network_held)
    state = jax.eval_shape(lambda: trainer.init(0))
    with jax.set_mesh(mesh):
        lowered = trainer.compile(mesh, state, frozen, 0).lower(state, frozen, batch)
    # Quick to compile: where arrays lie is settled before code is made of it.
    compiled = lowered.compile({"xla_backend_optimization_level": 0}).memory_analysis()
    memory = cost(trainer, frozen, batch, mesh.abstract_mesh).memory
    needed = memory["gradients"] + memory["activations"]
    given = sum(memory.values()) - needed
    print(f"given {given / compiled.argument_size_in_bytes:.3f}, needed {needed / compiled.temp_size_in_bytes:.3f}")
    assert given == pytest.approx(compiled.argument_size_in_bytes, rel=0.01)
    assert given + needed == pytest.approx(compiled.argument_size_in_bytes + compiled.temp_size_in_bytes, rel=0.25)


# What is in memory


def test_what_a_program_holds_is_counted_by_hand():
    """A matmul's result, the operand that is made of it, and the next result; in a loop, one round's."""

    def size(x):
        return math.prod(x.shape) * x.dtype.itemsize

    def once(x):
        y = x @ x
        return (jnp.sin(y) + 1) @ x

    def often(x):
        return jax.lax.scan(lambda x, _: (once(x), x), x, length=5)

    x, array = jax.ShapeDtypeStruct((16, 16), jnp.float32), 16 * 16 * 4
    single, loop = (jax.make_jaxpr(f)(x).jaxpr for f in (once, often))
    assert peak(single, size) == 3 * array
    assert peak(loop, size) == (1 + 5) * array + 3 * array
    assert operations(loop) == 5 * operations(single) == 5 * 2 * 2 * 16**3


def test_with_rematerialisation_a_block_keeps_its_input_alone():
    four, eight = (
        explained(network__remat="full", **more).memory["activations"] for more in ({}, {"network__layers": 8})
    )
    assert eight - four == pytest.approx(4 * ROWS * TOKENS * 256 * 4, rel=0.02)


def test_rematerialisation_saves_by_its_kind():
    full, attention, dots, none = (
        explained(network__remat=kind).memory["activations"] for kind in ("full", "attention", "dots", "none")
    )
    assert full < attention < dots < none


def test_scores_are_held_where_attention_holds_them():
    xla, blockwise = (
        explained(data__frames=33, network__attention=kind).memory["activations"] for kind in ("xla", "blockwise")
    )
    tokens = 3 * TOKENS
    assert xla - blockwise > 4 * ROWS * 2 * tokens**2 * 4  # blocks, videos, heads, scores of float32


def test_a_lora_needs_neither_gradients_nor_moments_of_what_it_holds():
    whole, lora = explained().memory, explained(network__lora=1, optimizer__trainable="lora").memory
    assert lora["held parameters"] > 0.99 * whole["trained parameters"] and whole["held parameters"] == 0
    for name in ("trained parameters", "moving average", "moments", "gradients"):
        assert lora[name] < 0.05 * whole[name]


@pytest.mark.slow
def test_a_device_of_many_holds_its_videos_and_its_part():
    one, many = explained(data__batch_size=1).memory, explained(data=8).memory
    assert many == one
    split = explained(fsdp=8).memory
    assert one["moments"] / 8 < split["moments"] < one["moments"] / 5  # vectors and the text encoder stay whole
    assert explained(context=2).memory["activations"] < 0.6 * explained().memory["activations"]
    assert explained(tensor=2).memory["activations"] < 0.9 * explained().memory["activations"]


def test_a_batch_that_does_not_divide_is_told():
    with pytest.raises(ValueError, match=r"batch_size=8: must be a multiple of data \* fsdp = 3"):
        explained(data=3)


# Operations


@pytest.mark.parametrize("remat", ["none", "full"])
def test_operations_agree_with_the_formula(remat):
    small = experiment(WAN | {"network.remat": remat})
    wanted = ROWS * loop.operations(small.trainer, small.tokenizer.length)
    assert explained(network__remat=remat).network == pytest.approx(wanted, rel=0.05)


def test_a_lora_pays_for_no_gradient_of_the_weights_it_holds():
    """Twice the matmuls with weights, forward and to the inputs, and three times those of attention."""
    small = experiment(WAN)
    shape, text = small.computer.network.dit.shape, small.tokenizer.length
    forward = flops.forward(shape, loop.tokens(small.computer), text)
    attention = 2 * shape.layers * (2 * TOKENS**2 + 2 * TOKENS * text) * shape.width
    lora = explained(network__lora=1, optimizer__trainable="lora").network
    assert lora == pytest.approx(ROWS * (2 * forward + attention), rel=0.05)


# The program


MEASURED = """
import re, runpy, sys
sys.argv = ["explain", *sys.argv[1:]]
try:
    runpy.run_module("launch.explain", run_name="__main__")
finally:
    import jax
    # Its rusage would count the memory of the process that started it.
    peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]
    print(int(peak) / 2**20, sum(x.nbytes for x in jax.live_arrays()))
"""


@pytest.mark.slow
def test_the_largest_network_is_explained_in_little_memory():
    asked = ["--config=cligen:wan_14b_i2v", "--mesh=data:1,fsdp:8,context:1,tensor:1", "--device=h200"]
    command = [sys.executable, "-c", MEASURED, *asked]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    peak_gib, allocated = map(float, done.stdout.split("\n")[-2].split())
    assert peak_gib < 2 and allocated < 1000
    trained = [float(million) for million in re.findall(r" trained +([0-9.]+) ", done.stdout)]
    assert sum(trained) == pytest.approx(16395, rel=1e-4)
    assert "40x640x5120  (self_attn|cross_attn)/(q|k|v|k_img|v_img)/kernel$" in re.sub(" {3,}", "  ", done.stdout)


@pytest.mark.slow
def test_what_does_not_fit_is_told_first_and_what_would_help():
    lines = program("launch.explain", "--config=cligen:micro", "--batch_size=8192", "--device=v5e").stdout.split("\n")
    assert lines[1].endswith("of the 16 on each v5e: DOES NOT FIT")
    helps = {line.split()[0]: line.split()[-1] for line in lines[-6:-1]}
    assert list(helps) == ["--remat=full", "--batch_size=1", "--lora", "fsdp:8", "context:4"]
    assert helps["--batch_size=1"] == helps["fsdp:8"] == "fits" and helps["--lora"] == "much"


@pytest.mark.slow
def test_the_window_of_a_large_computer_that_streams_is_explained():
    """30 layers x 1560 tokens x (keys, values) x 1536 x 2 bytes a latent frame; every other config has no window."""
    config = cligen.get_config("wan_1_3b_i2v")
    sizes.streaming(config, window=12)
    (row,) = explain.explain(config, {"fsdp": 8}, encoded=True).streaming()
    assert row["MB a latent frame"] == pytest.approx(30 * 1560 * 2 * 1536 * 2 / 1e6)
    assert row["latent frames in the window"] == 12 and row["GiB"] == pytest.approx(12 * 287.5e6 / 2**30, rel=0.01)
    assert explain.explain(cligen.get_config("tiny"), {"data": 1}).streaming() == []


@pytest.mark.slow
def test_a_mesh_that_nobody_has_is_explained():
    asked = [
        "--config=cligen:wan_1_3b_i2v",
        "--mesh=data:4,fsdp:64",
        "--batch_size=256",
        "--device=h200",
        "--lora",
        "--encoded",
    ]
    told = program("launch.explain", *asked).stdout
    assert "256 h200 (data 4, fsdp 64, context 1, tensor 1), a step of 256 x 81 frames" in told and ": fits" in told
    assert "lora" in told and "umt5" not in told and "what would help" not in told


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ([], "--config: is missing"),
        (["--config=cligen:tiny", "--mesh=fsp:8"], "mesh.fsp=8: give sizes from 1 on; the axes are data, fsdp"),
        (["--config=cligen:micro", "--mesh=fsdp:3", "--batch_size=3"], "cannot be split over fsdp=3"),
        (["--config=configs/cligen.py:tiny", "--config.network.heads=3"], "config.network.heads=3"),
    ],
)
def test_what_cannot_be_explained_is_told(asked, told):
    failed = program("launch.explain", *asked, check=False)
    assert failed.returncode == 1 and told in failed.stderr and "Traceback" not in failed.stderr
