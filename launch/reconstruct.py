"""Is text readable through a codec? Screens of many font sizes and densities, encoded, decoded and read again.

    neural-computer reconstruct --machine=DIR --out=OUT      # what was trained there: a computer's codec, or a VAE
    neural-computer reconstruct --init=CONVERTED --out=OUT   # the VAE in a folder that convert_weights wrote

Writes OUT/metrics.json and report.html: a table, a plot a metric, and screens. Interrupted, the same command resumes.
"""

from pathlib import Path

from neural_computer import machines, report
from neural_computer.launch import errors
from neural_computer.launch.flags import Flags
from neural_computer.workflows import reconstruct as codecs

FLAGS = Flags(films="--videos")
MACHINE = FLAGS.machine()
INIT = FLAGS.init("A folder of converted weights with a VAE", sets=False)
FONTS = FLAGS.words("fonts", ["6", "8", "10", "13", "16", "20"], "Font sizes in pixels.")
DENSITIES = FLAGS.words("densities", ["0.1", "0.4", "0.8"], "How much of every line is text.")
SIZE = FLAGS.size("480x832", "Size of the screens, multiples of 8")
FRAMES = FLAGS.frames(9)
VIDEOS = FLAGS.integer("videos", 2, "Videos of every font size and density.", lower_bound=1)
OUT = FLAGS.out(required=True)


def main(argv: list[str]) -> None:
    del argv
    options = codecs.SweepOptions(
        fonts=tuple(map(int, FONTS.value)),
        densities=tuple(map(float, DENSITIES.value)),
        size=tuple(SIZE.value),
        frames=FRAMES.value,
        videos=VIDEOS.value,
    )
    folder = None if MACHINE.value is None else machines.folder(MACHINE.value)
    codec = codecs.load_codec(folder, INIT.value)
    print(report.text_table(codecs.reconstruct(codec, Path(OUT.value), options)))
    print(f"{OUT.value}/report.html")


if __name__ == "__main__":
    errors.run(main, FLAGS)
