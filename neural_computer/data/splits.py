"""Which split a recording belongs to: by its name alone, so that no recording moves when another is added."""

import hashlib


def of(name: str, held_out: float = 0.1) -> str:
    """Returns "test" for about a `held_out` share of all names, else "train".

    The first eight bytes of the name's SHA-256 are read as a number in [0, 2^64); it is "test" below held_out * 2^64.
    A larger `held_out` moves names from train to test and none back. Raises ValueError for a share outside [0, 1].
    """
    if not 0 <= held_out <= 1:
        raise ValueError(f"held_out={held_out}: must be between 0 and 1, the share of names that go to test")
    return "test" if int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") < held_out * 2**64 else "train"
