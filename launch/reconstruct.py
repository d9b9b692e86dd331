"""Is text readable through a codec? Screens of many font sizes and densities, encoded, decoded and read again.

    python -m launch.reconstruct --workdir=DIR --out=DIR      # what was trained there: a computer's codec, or a VAE
    python -m launch.reconstruct --init=CONVERTED --out=DIR   # the VAE in a folder that launch.convert_weights wrote

Writes OUT/metrics.json and report.html: a table, a plot a metric, and screens. Interrupted, the same command resumes.
"""

import re
from pathlib import Path

from absl import flags

from launch import errors
from neural_computer import report
from neural_computer.workflows import reconstruct as codecs

WORKDIR = flags.DEFINE_string("workdir", None, "A trained workdir.")
INIT = flags.DEFINE_string("init", None, "A converted folder with a VAE.")
FONTS = flags.DEFINE_list("fonts", ["6", "8", "10", "13", "16", "20"], "Font sizes in pixels.")
DENSITIES = flags.DEFINE_list("densities", ["0.1", "0.4", "0.8"], "How much of every line is text.")
SIZE = flags.DEFINE_string("size", "480x832", "HEIGHTxWIDTH of the screens.")
FRAMES = flags.DEFINE_integer("frames", 9, "Frames of a video, 4k + 1.", lower_bound=1)
VIDEOS = flags.DEFINE_integer("videos", 2, "Videos of every font size and density.", lower_bound=1)
OUT = flags.DEFINE_string("out", None, "Where the results go.")


def main(argv: list[str]) -> None:
    del argv
    sides = re.fullmatch(r"(\d+)x(\d+)", SIZE.value)
    if not sides:
        raise ValueError(f"--size={SIZE.value}: must be HEIGHTxWIDTH, multiples of 8")
    options = codecs.SweepOptions(
        fonts=tuple(map(int, FONTS.value)),
        densities=tuple(map(float, DENSITIES.value)),
        size=(int(sides[1]), int(sides[2])),
        frames=FRAMES.value,
        videos=VIDEOS.value,
    )
    codec = codecs.load_codec(WORKDIR.value, INIT.value)
    print(report.text_table(codecs.reconstruct(codec, Path(OUT.value), options)))
    print(f"{OUT.value}/report.html")


if __name__ == "__main__":
    flags.mark_flags_as_required(["out"])
    errors.run(main)
