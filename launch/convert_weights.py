"""Converts published Wan2.1 weights to Orbax checkpoints, and back to diffusers folders.

    neural-computer convert_weights --input=PATH --out=DIR [--dtype=float32|bfloat16] [--heads=N]
    neural-computer convert_weights --input=DIR --out=FOLDER --to=diffusers

PATH is a .safetensors or .pth file, the folder of one network, a diffusers pipeline, or a folder of the original release:
every network in it is converted. Or it is a folder that train wrote, whose averaged DiT is taken, a LoRA folded in. DIR then
holds an Orbax checkpoint a network, preset.json, keys.json and the tokenizer.

Memory holds one tensor at a time. After an interruption the same command goes on with the networks that are not finished;
finished, it does nothing. `neural_computer.load_pretrained(DIR)` reads the result.
"""

from pathlib import Path

import jax

from neural_computer.convert import export_diffusers, import_weights, pretrained, sources
from neural_computer.launch import errors
from neural_computer.launch.flags import Flags
from neural_computer.workflows import lock, trained_source

FLAGS = Flags()
INPUT = FLAGS.input("Published weights; with --to=diffusers, a folder that this program wrote.", required=True)
OUT = FLAGS.out(required=True)
DTYPE = FLAGS.dtype(None, "Of the result; by default that of each network's files.")
HEADS = FLAGS.integer("heads", None, "Heads of a DiT, where neither config.json nor a width of 128 a head says it.")
TO = FLAGS.choice("to", None, ["diffusers"], "Writes a converted folder as diffusers and transformers read it.")


def main(argv: list[str]) -> None:
    del argv
    # Nothing is computed: an accelerator stays free for others.
    jax.config.update("jax_platforms", "cpu")
    source, out = Path(INPUT.value), Path(OUT.value)
    if TO.value == "diffusers":
        pretrained.networks(source)
        with lock.exclusive(out):
            export_diffusers.write(source, out, DTYPE.value)
        return
    networks, tokenizer = (
        ([trained_source.source(source)], None) if trained_source.is_workdir(source) else sources.find(source)
    )
    plans = import_weights.plan(networks, DTYPE.value, HEADS.value)
    with lock.exclusive(out):
        import_weights.write(plans, tokenizer, out)


if __name__ == "__main__":
    errors.run(main, FLAGS)
