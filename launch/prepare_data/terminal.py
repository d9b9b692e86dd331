"""Flags that the recipes of terminal clips share."""

from pathlib import Path
from typing import Any

from neural_computer.launch.flags import Flags


class Terminal:
    """Those flags, declared for one recipe."""

    def __init__(self, own: Flags):
        self.frames = own.frames(81)
        self.size = own.size("48x128")
        self.pixels = own.integer("font", 13, "Size of the font in pixels.", lower_bound=4)
        self.chunk = own.integer("chunk", 8, "Recordings in a clip store.", lower_bound=1)
        self.workers, self.beam = own.workers(), own.beam()

    def settings(self) -> dict[str, Any]:
        """What the data depend on, of these flags."""
        return {"frames": self.frames.value, "size": str(self.size.value), "font": self.pixels.value}

    def build(self, items: Any, maker: Any, builder: Any, out: Path, test_share: float) -> dict[str, Any]:
        """Makes the clips and returns the counts."""
        from neural_computer.recording.cligen.build import build

        return build(
            items,
            maker,
            builder,
            out,
            size=self.size.value,
            pixels=self.pixels.value,
            chunk=self.chunk.value,
            workers=self.workers.value,
            beam=self.beam.value,
            test_share=test_share,
        )
