"""Judges videos.

    python -m launch.evaluate --generated=DIR --reference=DIR [--actions=DIR] --metrics=psnr,ssim,lpips,fvd --out=DIR
    python -m launch.evaluate --generated=DIR --problems=problems.json --out=DIR
    python -m launch.evaluate --workdir=DIR

The first scores anybody's videos beside the true ones; the second videos that were made of arithmetic problems (without
--generated it writes the prompts); the third rolls a trained computer out on held-out videos. See folders, problems,
trained. Exit code: 0, everything was scored as it is; 2, some clips were adapted; 3, some were left out; 1, an error.
"""

import sys

from neural_computer.launch import errors
from neural_computer.launch.evaluate import folders, problems, trained


def main(argv: list[str]) -> None:
    del argv
    if trained.WORKDIR.value is not None:
        trained.run()
    elif problems.PROBLEMS.value is not None:
        sys.exit(problems.run())
    elif folders.GENERATED.value is not None and folders.REFERENCE.value is not None:
        sys.exit(folders.run())
    else:
        raise ValueError(
            "nothing to judge: give --workdir, or --generated and --reference (two folders of videos), or --problems"
        )


if __name__ == "__main__":
    errors.run(main)
