"""What training costs on a mesh before there is one: memory of a device, operations, hours, and what would make it fit.

    explanation = explain(cligen.get_config("wan_14b_i2v"), {"fsdp": 8})
    explanation.gib, explanation.fits(DEVICES["h200"])

Nothing is allocated and no accelerator is used: a laptop can explain 256 devices.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, NamedTuple

import jax
import numpy as np
from flax.traverse_util import flatten_dict
from jax.sharding import AbstractMesh, AxisType, NamedSharding
from ml_collections import ConfigDict

from neural_computer import build, sharding
from neural_computer.convert import pretrained
from neural_computer.data.inputs import stacked
from neural_computer.experiment import Experiment
from neural_computer.sharding import Rules
from neural_computer.streaming import StreamingComputer
from neural_computer.train.cost import Cost, cost, frozen_shapes
from neural_computer.types import Actions, Batch, Encoded, FrozenParams, TokenIds


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
"""What the released files are in, and their conversions unless another dtype is given."""
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
LORA_RANK = 16
GIB = 2**30


@dataclass(frozen=True)
class Scenario:
    """An experiment on a mesh.

    Attributes: mesh gives sizes by axis. dtypes are those of frozen parameters, by network (dit, vae, umt5, clip). With
    encoded, training reads encoded clips, without VAE, UMT5 and CLIP.
    """

    config: ConfigDict
    mesh: Mapping[str, int]
    dtypes: Mapping[str, str] = field(default_factory=dict)
    encoded: bool = False

    def with_values(self, **values: Any) -> "Scenario":
        """The same with other values of the config (dots as double underscores)."""
        config = self.config.copy_and_resolve_references()
        config.update_from_flattened_dict({name.replace("__", "."): value for name, value in values.items()})
        return replace(self, config=config)

    def with_lora(self, rank: int) -> "Scenario":
        """The same with a LoRA of that rank trained alone; with rank 0, everything trained without one."""
        return self.with_values(network__lora=rank, optimizer__trainable="lora" if rank else "")


@dataclass(frozen=True)
class Explanation:
    """The cost of a scenario's training step, and where its parameters are."""

    scenario: Scenario
    experiment: Experiment
    mesh: AbstractMesh
    frozen: FrozenParams
    cost: Cost

    @property
    def gib(self) -> float:
        """GiB on each device."""
        return sum(self.cost.memory.values()) / GIB

    def fits(self, device: Device) -> bool:
        """Is there room on each device, a tenth of it kept free?"""
        return self.gib <= USABLE * device.memory

    def parameters(self) -> list[dict[str, Any]]:
        """A row a part of the network: its parameters, its largest one, whole and on a device, and the rule that splits it."""
        trainer = self.experiment.trainer
        network = jax.eval_shape(lambda: trainer.network(0))
        trained = flatten_dict(trainer.optimizer.split(network)[0], sep="/")
        encoders = {name: tree for name, tree in self.frozen._asdict().items() if tree and name != "network_held"}
        parts: dict[tuple[str, str], dict[str, tuple[int, ...]]] = {}
        for path, leaf in flatten_dict({**network, **encoders}, sep="/").items():
            top = path.split("/")[0]
            state = "trained" if path in trained else "held" if top in network else "frozen"
            group = next((name for name, pattern in GROUPS.items() if re.search(pattern, path)), top)
            parts.setdefault((group, state), {})[path] = leaf.shape
        return [_row(group, state, shapes, self.mesh, trainer.rules) for (group, state), shapes in parts.items()]

    def memory(self) -> list[dict[str, Any]]:
        """GiB on a device, a row for each thing that takes some."""
        parts = {name: count / GIB for name, count in self.cost.memory.items() if count}
        return [{"on a device": name, "GiB": value} for name, value in {**parts, "total": self.gib}.items()]

    def streaming(self) -> list[dict[str, Any]]:
        """Memory of the window of a computer that streams, a session: a latent frame's keys and values, and all of them."""
        computer = self.experiment.trainer.model
        if not isinstance(computer, StreamingComputer) or not computer.causal.window:
            return []
        _, i, j, _ = computer.conditioner.latent_shape
        _, ph, pw = computer.network.dit.shape.patch
        ring = jax.eval_shape(lambda: computer.network.dit.empty_cache(1, i // ph * (j // pw))).ring
        size = sum(prod(leaf.shape) * leaf.dtype.itemsize for leaf in ring)
        frames = computer.causal.window * computer.causal.chunk
        return [{"latent frames in the window": frames, "MB a latent frame": size / frames / 1e6, "GiB": size / GIB}]

    def hours(self, device: Device, mfu: float = 0.4) -> list[dict[str, Any]]:
        """Operations and time of the encoders and of the network, at `mfu` of the device's peak."""
        rate = self.mesh.size * device.peak * 1e12 * mfu
        work = {"frozen encoders": self.cost.encoders, "network": self.cost.network}
        return [
            {
                "a step": name,
                "PFLOP": operations / 1e15,
                f"seconds at {mfu:.0%} of the peak": operations / rate,
                "hours for 1,000 steps": operations / rate * 1000 / 3600,
            }
            for name, operations in {**work, "total": sum(work.values())}.items()
        ]


def explain(
    config: ConfigDict, mesh: Mapping[str, int], dtypes: Mapping[str, str] | None = None, encoded: bool = False
) -> Explanation:
    """What a training step of a config costs on a mesh of these sizes, {"fsdp": 8}.

    Raises ConfigError for a config that cannot be built, ValueError for one without a network and for a mesh that does not
    divide it.
    """
    return explanation(scenario(config, mesh, dtypes, encoded))


def scenario(
    config: ConfigDict, mesh: Mapping[str, int], dtypes: Mapping[str, str] | None = None, encoded: bool = False
) -> Scenario:
    """The scenario of a config, with kernels that only an accelerator has replaced by one that needs as little memory.

    Frozen parameters have `dtypes`, else those of config.init, else those of the published files. Raises ValueError for a
    config without a network.
    """
    if "network" not in config:
        raise ValueError("config.network: is missing; the cost of training is explained for networks, not for codecs")
    wanted = Scenario(config, mesh, encoded=encoded)
    if config.network.attention in ("cudnn", "splash"):
        # They do not run here; blockwise holds no scores either.
        wanted = wanted.with_values(network__attention="blockwise")
    init = config.init
    networks = pretrained.networks(init) if init and not pretrained.is_machine(init) else {}
    own = {name: network["dtype"] for name, network in networks.items()}
    return replace(wanted, dtypes={**PUBLISHED, **own, **(dtypes or {})})


def explanation(scenario: Scenario) -> Explanation:
    """The cost of a scenario. Raises ConfigError, and ValueError for a mesh that does not divide it."""
    experiment, mesh = build.build(scenario.config), abstract_mesh(scenario.mesh)
    data, trainer, rows = experiment.data, experiment.trainer, experiment.data.batch_size
    batch: Batch | Encoded = Batch(
        index=np.broadcast_to(np.int32(0), (rows,)),
        video=np.broadcast_to(np.uint8(0), (rows, data.frames, data.height, data.width, 3)),
        text=TokenIds(np.broadcast_to(np.int32(0), (rows, experiment.tokenizer.length))),
        actions=empty_actions(experiment, rows),
        regions=empty_regions(experiment, rows),
    )
    frozen = frozen_shapes(trainer, scenario.dtypes)
    if scenario.encoded:
        batch = jax.eval_shape(trainer.encode, frozen, batch)
        frozen = FrozenParams(network_held=frozen.network_held)
    return Explanation(scenario, experiment, mesh, frozen, cost(trainer, frozen, batch, mesh))


def empty_regions(experiment: Experiment, rows: int) -> np.ndarray | None:
    """Masks of `rows` clips without their regions; None for a loss that has none."""
    if experiment.regions is None:
        return None
    shape = len(experiment.regions.names), *experiment.computer.conditioner.latent_shape[:3]
    return np.broadcast_to(np.float32(0), (rows, *shape))


def empty_actions(experiment: Experiment, rows: int) -> Actions | None:
    """Actions of `rows` clips in which nothing is done; None for an experiment without actions."""
    inputs, data = experiment.inputs, experiment.data
    if inputs is None:
        return None
    one = inputs.of("", (), None, data.frames, 1.0, (data.height, data.width))
    return stacked([one] * rows)


def abstract_mesh(sizes: Mapping[str, int]) -> AbstractMesh:
    """A mesh without devices; axes that are not named have size 1. Raises ValueError for an unknown axis or a size below 1."""
    for axis, size in sizes.items():
        if axis not in sharding.AXES or size < 1:
            raise ValueError(f"mesh.{axis}={size}: give sizes from 1 on; the axes are {', '.join(sharding.AXES)}")
    shape = tuple(sizes.get(axis, 1) for axis in sharding.AXES)
    return AbstractMesh(shape, sharding.AXES, axis_types=(AxisType.Auto,) * len(sharding.AXES))


# What would make it fit


class Remedy(NamedTuple):
    """A smaller scenario."""

    change: str
    """As a flag of the program explain, or as a size of the mesh"""
    explanation: Explanation
    fits: bool


def remedies(scenario: Scenario, device: Device) -> Iterator[Remedy]:
    """Of every kind of change the least that makes the scenario fit, or else the largest that was tried."""
    for kind in changes(scenario):
        remedy = None
        for change, smaller in kind:
            try:
                cheaper = explanation(smaller)
            except ValueError:  # this mesh does not divide it
                continue
            remedy = Remedy(change, cheaper, cheaper.fits(device))
            if remedy.fits:
                break
        if remedy is not None:
            yield remedy


def changes(scenario: Scenario) -> Iterator[list[tuple[str, Scenario]]]:
    """Smaller scenarios, by kind of change, each kind in growing order."""
    config, sizes = scenario.config, scenario.mesh
    ways = sizes.get("data", 1) * sizes.get("fsdp", 1)
    if config.network.remat != "full":
        yield [("--remat=full", scenario.with_values(network__remat="full"))]
    if config.data.batch_size > ways:
        yield [(f"--batch_size={ways}", scenario.with_values(data__batch_size=ways))]
    if not scenario.encoded and config.codec.kind == "wan":
        yield [("--encoded", replace(scenario, encoded=True))]
    if not config.optimizer.trainable:
        yield [("--lora", scenario.with_lora(LORA_RANK))]
    yield [_wider(scenario, n) for n in (2, 4, 8)]
    context = sizes.get("context", 1)
    yield [(f"context:{context * n}", replace(scenario, mesh={**sizes, "context": context * n})) for n in (2, 4)]


def _wider(scenario: Scenario, n: int) -> tuple[str, Scenario]:
    """The same on n times as many devices, and n times as many clips if there are too few to share."""
    rows, axes = scenario.config.data.batch_size, scenario.mesh
    fsdp = axes.get("fsdp", 1) * n
    more = replace(scenario, mesh={**axes, "fsdp": fsdp})
    if rows % (axes.get("data", 1) * fsdp) == 0:
        return f"fsdp:{fsdp}", more
    return f"fsdp:{fsdp}, batch_size {rows * n}", more.with_values(data__batch_size=rows * n)


def _row(
    group: str, state: str, shapes: Mapping[str, tuple[int, ...]], mesh: AbstractMesh, rules: Rules
) -> dict[str, Any]:
    path = max(shapes, key=lambda path: prod(shapes[path]))
    place = NamedSharding(mesh, sharding.spec(path, shapes[path], mesh, rules))
    return {
        "parameters of": group,
        "": state,
        "million": sum(map(prod, shapes.values())) / 1e6,
        "largest": "/".join(path.split("/")[-3:]),
        "shape": "x".join(map(str, shapes[path])),
        "on a device": "x".join(map(str, place.shard_shape(shapes[path]))),
        "by the rule": next(pattern for pattern, _ in rules if re.search(pattern, path)),
    }
