"""Says what training costs on a mesh before there is one: python -m launch.explain --preset=wan_14b_i2v --mesh=fsdp:8

--preset is a size of configs/sizes.py, trained as configs/cligen.py does; or give any experiment as to launch.train, with
--config=FILE and its --config.NAME=VALUE. Printed are where the parameters go, the bytes on a device, and the operations
and hours of training. Nothing is allocated and no accelerator is asked for: a laptop can explain 256 devices.

Parameters are exact, activations an estimate (train.cost says how) that leaves out XLA's own copies. Small networks compiled
for CPU devices took up to a quarter more in all, and a seventh more where one operation runs at a time, as on a GPU; so a
tenth of a device is kept free. On NVIDIA GPUs JAX takes three quarters of the memory unless XLA_PYTHON_CLIENT_MEM_FRACTION
says more. Hours are for a stated share of the bfloat16 peak, recomputed operations included; a VAE in float32 runs below it.
The exit code is 0 whether it fits or not: either is an answer, and the line that says so is among the first two.
"""

import re
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from flax.traverse_util import flatten_dict
from jax.sharding import AbstractMesh, AxisType, NamedSharding
from ml_collections import ConfigDict, config_flags

from configs import cligen
from configs.sizes import SIZES
from launch import errors
from neural_computer import build, report, sharding
from neural_computer.convert import pretrained
from neural_computer.data.inputs import stacked
from neural_computer.models.dit import REMAT
from neural_computer.train.cost import Cost, cost, frozen_shapes
from neural_computer.types import Actions, Batch, Encoded, FrozenParams, PyTree, TokenIds


class Device(NamedTuple):
    """An accelerator: memory in GiB, peak of dense bfloat16 matmuls in TFLOP/s."""

    memory: float
    peak: float


DEVICES = {
    "a100": Device(80, 312),
    "h100": Device(80, 989),
    "h200": Device(141, 989),
    "b200": Device(180, 2250),
    "v4": Device(32, 275),
    "v5e": Device(16, 197),
    "v5p": Device(95, 459),
    "v6e": Device(32, 918),
}
"""SXM modules as NVIDIA's data sheets have them, whose figures with sparsity are twice these; TPU chips as Google Cloud's
pages on system architecture have them."""
USABLE = 0.9
"""The share of a device's memory that may be planned with."""
PUBLISHED = {"dit": "float32", "vae": "float32", "umt5": "bfloat16", "clip": "float16"}
"""What the released files are in, and their conversions unless told otherwise."""
GROUPS = {
    "lora": r"_lora_",
    "image branch": r"^dit/image_embed|_img/",
    "self_attn": r"/self_attn/",
    "cross_attn": r"/cross_attn/",
    "ffn": r"^dit/blocks/.*/ffn/",
    "norms, modulation": r"^dit/blocks/",
    "head": r"^dit/head",
    "embeddings": r"^dit/",
}
"""Parts of a network, by the first pattern in a parameter's path."""
GIB = 2**30


class Rank(flags.ArgumentParser):
    """Reads --lora, --nolora and --lora=RANK."""

    usual = 16

    def parse(self, argument: Any) -> int:
        named = {"true": self.usual, "false": 0}
        return int(named.get(str(argument).lower(), argument))


PRESET = flags.DEFINE_enum("preset", None, list(SIZES), "A size of configs/sizes.py.")
CONFIG = config_flags.DEFINE_config_file("config", None, "An experiment, instead of a preset.", lock_config=True)
MESH = flags.DEFINE_string("mesh", "data:1", "The sizes of the mesh's axes: data:1,fsdp:8,context:1,tensor:1.")
DEVICE = flags.DEFINE_enum("device", "h100", list(DEVICES), "What the mesh is made of.")
MFU = flags.DEFINE_float("mfu", 0.4, "The share of the peak that is reached.", lower_bound=0.01, upper_bound=1.0)
BATCH = flags.DEFINE_integer("batch_size", None, "Videos a step; sets config.data.batch_size.", lower_bound=1)
REMATERIALISE = flags.DEFINE_enum("remat", None, ["none", *REMAT], "Sets config.network.remat.")
INIT = flags.DEFINE_string("init", None, "A converted folder, for its sizes and dtypes; sets config.init.")
WEIGHTS = flags.DEFINE_enum(
    "weights", None, ["float32", "bfloat16"], "Of held and frozen parameters; by default as in INIT, or as published."
)
ENCODED = flags.DEFINE_boolean("encoded", False, "Train on encoded clips, without VAE, UMT5 and CLIP.")
flags.DEFINE_flag(
    flags.Flag(Rank(), None, "lora", None, "Train a LoRA of that rank, 16 by default, and hold the rest.", boolean=True)
)


class Asked(NamedTuple):
    """A question: an experiment on a mesh."""

    config: ConfigDict
    sizes: Mapping[str, int]
    """Of the mesh's axes"""
    dtypes: Mapping[str, str]
    """Of held and frozen parameters, by network"""
    encoded: bool

    def changed(self, **changes: Any) -> "Asked":
        """The same with other values of the config (dots as double underscores)."""
        config = self.config.copy_and_resolve_references()
        config.update_from_flattened_dict({name.replace("__", "."): value for name, value in changes.items()})
        return self._replace(config=config)

    def lora(self, rank: int) -> "Asked":
        """The same with a LoRA of that rank trained alone; 0 trains everything without one."""
        return self.changed(network__lora=rank, optimizer__trainable="lora" if rank else "")


class Answer(NamedTuple):
    experiment: build.Experiment
    mesh: AbstractMesh
    frozen: PyTree
    cost: Cost

    @property
    def total(self) -> float:
        """GiB on a device."""
        return sum(self.cost.memory.values()) / GIB


def main(argv: list[str]) -> None:
    del argv
    jax.config.update("jax_platforms", "cpu")
    asked = question()
    answer, device = answered(asked), DEVICES[DEVICE.value]
    print(headline(answer, device))
    for table in (placement(answer), memory(answer), hours(answer, device)):
        print(f"\n{report.text_table(table)}", flush=True)
    if answer.total > USABLE * device.memory:
        print(f"\n{report.text_table(list(ways_out(asked, device)))}")


def question() -> Asked:
    """What the flags ask. Raises ValueError where they do not name one experiment and a mesh."""
    if (PRESET.value is None) == (CONFIG.value is None):
        raise ValueError("--preset or --config: give one of them, a size of configs/sizes.py or an experiment's file")
    config = CONFIG.value if PRESET.value is None else cligen.get_config(PRESET.value)
    if "network" not in config:
        raise ValueError(
            "--config: has no section network; what training costs is explained of networks, not of codecs"
        )
    given = {"data__batch_size": BATCH, "network__remat": REMATERIALISE, "init": INIT}
    changes = {name: flag.value for name, flag in given.items() if flag.value is not None}
    if config.network.attention in ("cudnn", "splash"):
        # They do not run here; blockwise holds no scores either.
        changes["network__attention"] = "blockwise"
    asked = Asked(config, sharding.sizes_of(MESH.value), {}, ENCODED.value).changed(**changes)
    if flags.FLAGS.lora is not None:
        asked = asked.lora(flags.FLAGS.lora)
    dtypes = dict(PUBLISHED)
    if asked.config.init:
        dtypes |= {name: found["dtype"] for name, found in pretrained.networks(asked.config.init).items()}
    if WEIGHTS.value is not None:
        dtypes = dict.fromkeys(PUBLISHED, WEIGHTS.value)
    return asked._replace(dtypes=dtypes)


def answered(asked: Asked) -> Answer:
    """What it costs. Raises ConfigError, and ValueError for a mesh that cannot hold it."""
    experiment, mesh = build.build(asked.config), abstract_mesh(asked.sizes)
    data, trainer, rows = experiment.data, experiment.trainer, experiment.data.batch_size
    batch: Batch | Encoded = Batch(
        index=np.broadcast_to(np.int32(0), (rows,)),
        video=np.broadcast_to(np.uint8(0), (rows, data.frames, data.height, data.width, 3)),
        text=TokenIds(np.broadcast_to(np.int32(0), (rows, experiment.tokenizer.length))),
        actions=done_nothing(experiment, rows),
    )
    frozen = frozen_shapes(trainer, asked.dtypes)
    if asked.encoded:
        batch = jax.eval_shape(trainer.encode, frozen, batch)
        frozen = FrozenParams(network_held=frozen.network_held)
    return Answer(experiment, mesh, frozen, cost(trainer, frozen, batch, mesh))


def done_nothing(experiment: build.Experiment, rows: int) -> Actions | None:
    """The actions of a batch of videos, if any enter: none, but of the right shapes."""
    inputs, data = experiment.inputs, experiment.data
    if inputs is None:
        return None
    one = inputs.of("", (), None, data.frames, 1.0, (data.height, data.width))
    return stacked([one] * rows)


def abstract_mesh(sizes: Mapping[str, int]) -> AbstractMesh:
    """A mesh without devices. Raises ValueError for an axis that is none, or of no size."""
    for axis, size in sizes.items():
        if axis not in sharding.AXES or size < 1:
            raise ValueError(f"mesh.{axis}={size}: give sizes from 1 on; the axes are {', '.join(sharding.AXES)}")
    shape = tuple(sizes.get(axis, 1) for axis in sharding.AXES)
    return AbstractMesh(shape, sharding.AXES, axis_types=(AxisType.Auto,) * len(sharding.AXES))


def ways_out(asked: Asked, device: Device) -> Iterator[dict[str, Any]]:
    """What would make it fit, and how far: of each kind the least that does, or the most that was tried."""
    for kind in alternatives(asked):
        row = None
        for name, other in kind:
            try:
                answer = answered(other)
            except ValueError:  # this mesh does not divide it
                continue
            fits = answer.total <= USABLE * device.memory
            verdict = "fits" if fits else "still too much"
            row = {"what would help": name, "devices": answer.mesh.size, "GiB": answer.total, "": verdict}
            if fits:
                break
        if row:
            yield row


def alternatives(asked: Asked) -> Iterator[list[tuple[str, Asked]]]:
    """Smaller ways to ask, by kind."""
    config, sizes = asked.config, asked.sizes
    ways = sizes.get("data", 1) * sizes.get("fsdp", 1)
    if config.network.remat != "full":
        yield [("--remat=full", asked.changed(network__remat="full"))]
    if config.data.batch_size > ways:
        yield [(f"--batch_size={ways}", asked.changed(data__batch_size=ways))]
    if not asked.encoded and config.codec.kind == "wan":
        yield [("--encoded", asked._replace(encoded=True))]
    if not config.optimizer.trainable:
        yield [("--lora", asked.lora(Rank.usual))]
    yield [wider(asked, n) for n in (2, 4, 8)]
    context = sizes.get("context", 1)
    yield [(f"context:{context * n}", asked._replace(sizes={**sizes, "context": context * n})) for n in (2, 4)]


def wider(asked: Asked, n: int) -> tuple[str, Asked]:
    """The same on n times as many devices, of n times as many videos if those asked for are too few to share."""
    rows, axes = asked.config.data.batch_size, asked.sizes
    fsdp = axes.get("fsdp", 1) * n
    more = asked._replace(sizes={**axes, "fsdp": fsdp})
    if rows % (axes.get("data", 1) * fsdp) == 0:
        return f"fsdp:{fsdp}", more
    return f"fsdp:{fsdp}, batch_size {rows * n}", more.changed(data__batch_size=rows * n)


# What is printed


def headline(answer: Answer, device: Device) -> str:
    """What was asked, and whether it fits."""
    experiment, mesh = answer.experiment, answer.mesh
    data, dit, share = experiment.data, experiment.computer.network.dit, answer.total / device.memory
    fits = "fits" if share <= USABLE else "fits barely, if at all" if share <= 1 else "DOES NOT FIT"
    axes = ", ".join(f"{axis} {size}" for axis, size in mesh.shape.items())
    return (
        f"{mesh.size} {DEVICE.value} ({axes}), a step of {data.batch_size} x {data.frames} frames of "
        f"{data.height}x{data.width}, {jnp.dtype(dit.dtype)}, attention {dit.attention}, remat {dit.remat}\n"
        f"{answer.total:.1f} GiB of the {device.memory:g} on each {DEVICE.value}: {fits}"
    )


def placement(answer: Answer) -> list[dict[str, Any]]:
    """A row a part: its parameters, and its largest one, its shape whole and on a device, and the rule that splits it."""
    trainer = answer.experiment.trainer
    network = jax.eval_shape(lambda: trainer.network(0))
    trained = flatten_dict(trainer.optimizer.split(network)[0], sep="/")
    frozen = {name: tree for name, tree in answer.frozen.items() if name != "network"}
    parts: dict[tuple[str, str], dict[str, tuple[int, ...]]] = {}
    for path, leaf in flatten_dict({**network, **frozen}, sep="/").items():
        top = path.split("/")[0]
        how = "trained" if path in trained else "held" if top in network else "frozen"
        group = next((name for name, pattern in GROUPS.items() if re.search(pattern, path)), top)
        parts.setdefault((group, how), {})[path] = leaf.shape
    return [_part(group, how, shapes, answer.mesh) for (group, how), shapes in parts.items()]


def _part(group: str, how: str, shapes: Mapping[str, tuple[int, ...]], mesh: AbstractMesh) -> dict[str, Any]:
    path = max(shapes, key=lambda path: prod(shapes[path]))
    place = NamedSharding(mesh, sharding.spec(path, shapes[path], mesh))
    return {
        "parameters of": group,
        "": how,
        "million": sum(map(prod, shapes.values())) / 1e6,
        "largest": "/".join(path.split("/")[-3:]),
        "shape": "x".join(map(str, shapes[path])),
        "on a device": "x".join(map(str, place.shard_shape(shapes[path]))),
        "by the rule": next(pattern for pattern, _ in sharding.RULES if re.search(pattern, path)),
    }


def memory(answer: Answer) -> list[dict[str, Any]]:
    """GiB on a device, by what holds them."""
    held = {name: count / GIB for name, count in answer.cost.memory.items() if count}
    return [{"on a device": name, "GiB": value} for name, value in {**held, "total": answer.total}.items()]


def hours(answer: Answer, device: Device) -> list[dict[str, Any]]:
    """Operations and time of the encoders and of the network."""
    rate = answer.mesh.size * device.peak * 1e12 * MFU.value
    work = {"frozen encoders": answer.cost.encoders, "network": answer.cost.network}
    return [
        {
            "a step": name,
            "PFLOP": operations / 1e15,
            f"seconds at {MFU.value:.0%} of the peak": operations / rate,
            "hours for 1,000 steps": operations / rate * 1000 / 3600,
        }
        for name, operations in {**work, "total": sum(work.values())}.items()
    ]


if __name__ == "__main__":
    errors.run(main)
