"""Converts published Wan2.1 weights to Orbax checkpoints, and back to diffusers folders.

    python -m launch.convert_weights --input=PATH --output=DIR [--dtype=float32|bfloat16] [--heads=N]
    python -m launch.convert_weights --input=DIR --output=FOLDER --to=diffusers

PATH is a .safetensors or .pth file, the folder of one network, a diffusers pipeline, or a folder of the original release:
every network found is converted. Or it is a workdir of launch.train, whose averaged DiT is taken, a LoRA folded in. DIR
then holds an Orbax checkpoint a network, preset.json, keys.json and the tokenizer.

Memory holds one tensor at a time. Broken off, the same command goes on with the networks that are not finished; finished,
it does nothing. `neural_computer.load_pretrained(DIR)` reads the result.
"""

from pathlib import Path

import jax
from absl import flags

from launch import errors
from neural_computer.convert import export_diffusers, import_weights, pretrained, sources
from neural_computer.workflows import lock, trained_source

INPUT = flags.DEFINE_string("input", None, "Published weights; with --to=diffusers, a folder that this program wrote.")
OUTPUT = flags.DEFINE_string("output", None, "Where the result goes.")
DTYPE = flags.DEFINE_enum(
    "dtype", None, ["float32", "bfloat16"], "What the result is kept in; by default what each network's files are in."
)
HEADS = flags.DEFINE_integer(
    "heads", None, "Heads of a DiT, where neither config.json nor a width of 128 a head tell them."
)
TO = flags.DEFINE_enum("to", None, ["diffusers"], "Writes a converted folder as diffusers and transformers read it.")


def main(argv: list[str]) -> None:
    del argv
    # Nothing is computed: an accelerator stays free for whoever has it.
    jax.config.update("jax_platforms", "cpu")
    source, output = Path(INPUT.value), Path(OUTPUT.value)
    if TO.value == "diffusers":
        pretrained.networks(source)
        with lock.held(output):
            export_diffusers.write(source, output, DTYPE.value)
        return
    found, tokenizer = (
        ([trained_source.source(source)], None) if trained_source.is_workdir(source) else sources.find(source)
    )
    plans = import_weights.plan(found, DTYPE.value, HEADS.value)
    with lock.held(output):
        import_weights.write(plans, tokenizer, output)


if __name__ == "__main__":
    flags.mark_flags_as_required(["input", "output"])
    errors.run(main)
