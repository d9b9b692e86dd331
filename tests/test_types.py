"""The shapes that stand in the fields of the nouns are those of real values."""

import types
import typing

import jax
import numpy as np
import pytest
from jaxtyping import jaxtyped

from neural_computer import types as nouns
from neural_computer.types import Batch, Params
from tests import builders


def mismatches(value, hint, path: str) -> list[str]:
    """Paths of fields that are not what their annotation says; axes of one name have one size throughout."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        found = [mismatches(value, part, path) for part in typing.get_args(hint)]
        return min(found, key=len)
    if hint is type(None):
        return [] if value is None else [path]
    if isinstance(hint, type) and hasattr(hint, "_fields"):
        hints = typing.get_type_hints(hint)
        if type(value) is not hint:
            return [path]
        return [bad for name in hint._fields for bad in mismatches(getattr(value, name), hints[name], f"{path}.{name}")]
    if hint is typing.Any or hint == nouns.PyTree or typing.get_origin(hint) in (tuple, dict):
        return []
    return [] if isinstance(value, hint) else [f"{path}: {getattr(value, 'dtype', '')}{np.shape(value)}"]


def values():
    made = builders.desktop("internal", "reference", **builders.TERMS)
    rows = builders.batch(2)._replace(actions=builders.actions(made, 2))
    params = builders.params(made)
    encoded = jax.jit(made.computer.encode)(params.frozen, rows)
    state = jax.jit(made.computer.boot)(params, rows.video[:, 0], rows.text)
    output = jax.jit(made.computer.denoiser.predict)(
        params.network, encoded.latents, np.full(2, 500.0, np.float32), encoded.conditioning
    )
    return rows, encoded, encoded.conditioning, state, params, builders.start(made), output


@pytest.fixture(scope="module")
def nouns_of_a_desktop():
    return values()


@pytest.mark.parametrize("number", range(7))
def test_fields_are_what_they_say(nouns_of_a_desktop, number):
    value = nouns_of_a_desktop[number]
    with jaxtyped("context"):
        assert not mismatches(value, type(value), type(value).__name__)


def test_a_field_of_another_shape_is_noticed():
    wrong = builders.batch(2)._replace(index=np.zeros(3, np.int32))
    with jaxtyped("context"):
        assert mismatches(wrong, Batch, "batch")


def test_no_field_is_any():
    for noun in (nouns.Actions, nouns.Batch, nouns.Encoded, nouns.Conditioning, nouns.State, nouns.Output):
        assert not [name for name, hint in typing.get_type_hints(noun).items() if hint is typing.Any], noun
    assert {"network", "frozen"} == set(Params._fields)
