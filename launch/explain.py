"""Says what training costs on a mesh before there is one: neural-computer explain --config=cligen:wan_14b_i2v --mesh=fsdp:8

--config and its --config.NAME=VALUE are those of train. Printed are where the parameters go, the bytes on a device, and the
operations and hours of training. Nothing is allocated and no accelerator is used: a laptop can explain 256 devices.

Of a computer that streams, the window's memory a session is printed too: that of keys and values a latent frame.

Parameters are exact, activations an estimate (train.cost says how) that leaves out XLA's own copies. Small networks compiled
for CPU devices took up to a quarter more in all, and a seventh more where one operation runs at a time, as on a GPU; so a
tenth of a device is kept free. On NVIDIA GPUs JAX takes three quarters of the memory unless XLA_PYTHON_CLIENT_MEM_FRACTION
says more. Hours are for a stated share of the bfloat16 peak, recomputed operations included; a VAE in float32 runs below it.
The exit code is 0 whether it fits or not: the line that says so is among the first two.
"""

from typing import Any

import jax
import jax.numpy as jnp
from absl import flags

from neural_computer import report, sharding
from neural_computer.launch import errors
from neural_computer.launch.flags import Flags
from neural_computer.models.dit import REMAT
from neural_computer.workflows import explain
from neural_computer.workflows.explain import DEVICES, LORA_RANK, PUBLISHED, Explanation


class Rank(flags.ArgumentParser):
    """Reads --lora, --nolora and --lora=RANK."""

    def parse(self, argument: Any) -> int:
        named = {"true": LORA_RANK, "false": 0}
        return int(named.get(str(argument).lower(), argument))


FLAGS = Flags(preset="--config=cligen:SIZE")
CONFIG = FLAGS.config(required=True)
MESH = FLAGS.mesh("The sizes of the mesh's axes", default="data:1")
DEVICE = FLAGS.choice("device", "h100", list(DEVICES), "What the mesh is made of.")
MFU = FLAGS.number("mfu", 0.4, "The share of the peak that is reached.", lower_bound=0.01, upper_bound=1.0)
BATCH = FLAGS.integer("batch_size", None, "Clips a step; sets config.data.batch_size.", lower_bound=1)
REMATERIALISE = FLAGS.choice("remat", None, ["none", *REMAT], "Sets config.network.remat.")
INIT = FLAGS.init("A folder of converted weights, for its sizes and dtypes")
WEIGHTS = FLAGS.choice(
    "weights", None, ["float32", "bfloat16"], "Of frozen parameters; by default as in --init, or as published."
)
ENCODED = FLAGS.boolean("encoded", False, "Train on encoded clips, without VAE, UMT5 and CLIP.")
LORA = FLAGS.parsed("lora", None, f"Train a LoRA of that rank alone, {LORA_RANK} by default.", Rank(), boolean=True)
FLAGS.sets("batch_size", "data.batch_size")
FLAGS.sets("remat", "network.remat")


def main(argv: list[str]) -> None:
    del argv
    jax.config.update("jax_platforms", "cpu")
    dtypes = dict.fromkeys(PUBLISHED, WEIGHTS.value) if WEIGHTS.value is not None else None
    scenario = explain.scenario(FLAGS.experiment(), sharding.sizes_of(MESH.value), dtypes, ENCODED.value)
    if LORA.value is not None:
        scenario = scenario.with_lora(LORA.value)
    explanation, device = explain.explanation(scenario), DEVICES[DEVICE.value]
    print(headline(explanation))
    tables = (
        explanation.parameters(),
        explanation.memory(),
        explanation.streaming(),
        explanation.hours(device, MFU.value),
    )
    for table in filter(None, tables):
        print(f"\n{report.text_table(table)}", flush=True)
    if not explanation.fits(device):
        rows = [
            {
                "what would help": remedy.change,
                "devices": remedy.explanation.mesh.size,
                "GiB": remedy.explanation.gib,
                "": "fits" if remedy.fits else "still too much",
            }
            for remedy in explain.remedies(scenario, device)
        ]
        print(f"\n{report.text_table(rows)}")


def headline(explanation: Explanation) -> str:
    """Two lines: the step, and whether it fits."""
    experiment, mesh, device = explanation.experiment, explanation.mesh, DEVICES[DEVICE.value]
    data, dit, share = experiment.data, experiment.computer.network.dit, explanation.gib / device.memory
    fits = "fits" if explanation.fits(device) else "fits barely, if at all" if share <= 1 else "DOES NOT FIT"
    axes = ", ".join(f"{axis} {size}" for axis, size in mesh.shape.items())
    return (
        f"{mesh.size} {DEVICE.value} ({axes}), a step of {data.batch_size} x {data.frames} frames of "
        f"{data.height}x{data.width}, {jnp.dtype(dit.dtype)}, attention {dit.attention}, remat {dit.remat}\n"
        f"{explanation.gib:.1f} GiB of the {device.memory:g} on each {DEVICE.value}: {fits}"
    )


if __name__ == "__main__":
    errors.run(main, FLAGS)
