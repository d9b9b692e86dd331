"""What stands on a picture of the terminal: every cell's nearest tile. Undoes `drawing.draw`, of pictures with errors too."""

from functools import cache

import numpy as np
from jaxtyping import Float, UInt8

from neural_computer.simulators.tty.drawing import CELL, UNDER_CURSOR, draw


def read(frames: UInt8[np.ndarray, "*t h w 3"]) -> UInt8[np.ndarray, "*t r c"]:
    """Cells of pictures: those whose tiles are nearest to the pixels, by the mean of the colours."""
    *lead, height, width, _ = frames.shape
    (tall, wide), (codes, tiles) = CELL, _tiles()
    grey = frames.astype(np.float32).mean(axis=-1).reshape(-1, height // tall, tall, width // wide, wide)
    pixels = grey.swapaxes(2, 3).reshape(-1, tall * wide)
    # |p - q|^2 without p^2, which is the same for all tiles.
    distance = np.square(tiles).sum(1) - 2 * pixels @ tiles.T
    return codes[distance.argmin(1)].reshape(*lead, height // tall, width // wide)


@cache
def _tiles() -> tuple[UInt8[np.ndarray, " n"], Float[np.ndarray, "n p"]]:
    """(codes, grey tiles) of all printable characters, and of all under the cursor."""
    printable = np.arange(32, 127, dtype=np.uint8)
    codes = np.concatenate([printable, printable | UNDER_CURSOR])
    return codes, draw(codes[:, None, None]).astype(np.float32).mean(axis=-1).reshape(len(codes), -1)
