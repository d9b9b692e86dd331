"""Parameters of one network into another that has more."""

from flax.traverse_util import flatten_dict, unflatten_dict

from neural_computer.types import PyTree


def merge(base: PyTree, into: PyTree) -> PyTree:
    """`into` with every leaf of `base` that has the same path and shape: trained weights in a network with other parts.

    Leaves that `base` lacks, or has in another shape, stay those of `into`. Raises ValueError if no leaf agrees.
    """
    ours, theirs = flatten_dict(into, sep="/"), flatten_dict(base, sep="/")
    agreeing = {path: leaf for path, leaf in theirs.items() if path in ours and ours[path].shape == leaf.shape}
    if not agreeing:
        raise ValueError(f"merge: no parameter of base, such as {min(theirs)}, has the path and shape of one of into")
    return unflatten_dict(ours | agreeing, sep="/")
