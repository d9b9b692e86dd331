"""Where actions enter the network.

The DiT opens four doors, once each, in every mode; a mode is a frozen dataclass that answers at one of them and leaves
the others as they are. It is called inside the DiT's compact context, so it may create linen submodules.
"""

from dataclasses import dataclass
from typing import Any

from jaxtyping import Array, Float

Embedding = Any
"""One action embedding a latent step, (b, f, d), or None where there are no actions."""


@dataclass(frozen=True)
class Injection:
    """No injection: every door closed. `every` blocks form a group; a mode acts once a group."""

    every: int = 1

    def on_latents(self, z: Float[Array, "b f i j c"], u: Embedding) -> Float[Array, "b f i j c"]:
        """The latents before they become tokens."""
        return z

    def on_sequence(self, h: Float[Array, "b f p d"], u: Embedding) -> Float[Array, "b f p d"]:
        """The token sequence before the blocks."""
        return h

    def in_block(self, h: Float[Array, "b f p d"], u: Embedding) -> Float[Array, "b f p d"]:
        """Inside a block, after the text cross-attention and before the FFN."""
        return h

    def after_block(self, h: Float[Array, "b f p d"], u: Embedding) -> Float[Array, "b f p d"]:
        """After a block."""
        return h


MODES = {"none": Injection}
