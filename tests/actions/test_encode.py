"""Action embeddings: what each depends on, and on nothing else."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer.actions import schema
from neural_computer.actions.align import Alignment
from neural_computer.actions.encode import MAX_EDGES, ActionEncoder, ActionEncoding, MetaSlots, MouseEncoder
from neural_computer.conditioning import no_actions
from neural_computer.data.inputs import ActionFeaturizer, chunked, empty, stacked
from neural_computer.data.tokens import ByteTokenizer
from neural_computer.models import layers
from neural_computer.types import Actions, Clip, Event, Meta, TokenIds

FRAMES, SIZE, FPS = 9, (48, 64), 10.0
CLICK = (Event(0.31, "press", key="left", x=10.0, y=20.0), Event(0.33, "release", key="left"))
TYPED = (Event(0.31, "press", key="a"), Event(0.32, "release", key="a"))


def one(events=(), texts=4) -> Actions:
    return ActionFeaturizer(ByteTokenizer(8), texts).of("video", events, None, FRAMES, FPS, SIZE)


def actions(events, texts=4) -> Actions:
    return stacked([one(events, texts)])


def encoder(**config) -> ActionEncoder:
    return ActionEncoder(ActionEncoding(width=8, fourier=4, **config), SIZE)


def embed(module, acts, seed=0):
    """u of a batch; the features of a text are its bytes."""
    texts = jnp.asarray(acts.texts.ids, jnp.float32) / 100
    params = module.init(jax.random.key(seed), acts, texts)
    return np.asarray(module.apply(params, acts, texts))


def test_the_smallest_encoding_has_one_number_of_each_and_none_less():
    ActionEncoding(width=1, fourier=1, scale=0.1)
    for wrong in ({"width": 0}, {"fourier": 0}, {"scale": 0.0}):
        with pytest.raises(ValueError, match="must be positive"):
            ActionEncoding(**wrong)


@pytest.mark.parametrize("config", [{"schema": "raw"}, {"schema": "meta"}, {"schema": "meta", "pool": "attention"}])
@pytest.mark.parametrize("events", [CLICK, TYPED], ids=["click", "typed"])
def test_an_action_changes_the_embedding_of_its_window_alone(config, events):
    """Both happen in video frame 4, the last of latent frame 1."""

    def changes(module):
        return abs(embed(module, actions(events)) - embed(module, actions(()))).max(axis=(0, 3)) > 1e-6

    changed = changes(encoder(**config))
    assert changed[:, 0].tolist() == [False, True, False]
    assert changed[1:, 1].all() == (events is CLICK), "from then on the mouse is somewhere"
    assert changes(encoder(**config, align=Alignment(lag=4)))[:, 0].tolist() == [False, False, True]


def test_two_actions_of_a_frame_are_two_and_which_they_are_matters():
    module, both = encoder(), (*CLICK, Event(0.35, "press", key="Return"), Event(0.36, "release", key="Return"))
    kinds = actions(both).meta.kind[0, 4]
    assert kinds.tolist() == [schema.CLICK, schema.SHORTCUT]
    other = (*CLICK, Event(0.35, "press", key="Escape"), Event(0.36, "release", key="Escape"))
    for first, second in ((both, CLICK), (both, other)):
        assert abs(embed(module, actions(first)) - embed(module, actions(second))).max() > 1e-6


# Mouse


@pytest.mark.parametrize("mouse", ["xy", "fourier"])
def test_a_mouse_that_is_nowhere_has_no_embedding(mouse):
    module, acts = encoder(mouse=mouse), no_actions(FRAMES, jnp.zeros((1, 1, 8)))
    params = module.init(jax.random.key(0), acts, acts.texts)
    np.testing.assert_array_equal(module.apply(params, acts, acts.texts)[:, :, 1], 0)


@pytest.mark.parametrize("mouse", ["xy", "fourier"])
def test_mouse_positions_are_mapped_to_one_square_and_then_to_frequencies(mouse):
    """[0, 1] becomes [-1, 1], beyond it is clipped; "fourier" adds cos, sin of 2 pi B x, B drawn once for all."""
    config = ActionEncoding(width=8, fourier=4, scale=3.0, mouse=mouse)
    position = jnp.asarray([[[0.0, 1.0], [0.5, 0.25], [-0.5, 1.5]]])
    x = jnp.asarray([[[-1.0, 1.0], [0.0, -0.5], [-1.0, 1.0]]])
    if mouse == "fourier":
        angle = 2 * np.pi * np.asarray(x) @ (np.random.default_rng(0).normal(size=(2, 4)) * 3.0)
        x = jnp.concatenate([x, jnp.cos(angle), jnp.sin(angle)], axis=-1)
    module = MouseEncoder(config)
    params = module.init(jax.random.key(0), position)["params"]
    expected = layers.Mlp(8, 8).apply({"params": params["mlp"]}, x)
    np.testing.assert_allclose(module.apply({"params": params}, position), expected, atol=1e-5)


def test_the_corners_of_the_screen_are_the_corners_of_the_square():
    """The last pixel of a screen of 64 columns and 48 rows is (63, 47)."""
    module, acts = encoder(mouse="xy"), actions(())
    corner, beyond = (
        acts._replace(mouse=np.full((1, FRAMES, 2), place, np.float32)) for place in ((63, 47), (640, 480))
    )
    np.testing.assert_allclose(embed(module, corner), embed(module, beyond), atol=1e-6)
    inside = acts._replace(mouse=np.full((1, FRAMES, 2), (62.5, 46.5), np.float32))
    assert (abs(embed(module, corner) - embed(module, inside))[:, :, 1].max(axis=-1) > 1e-4).all()


# Slots


def slots(**fields) -> Meta:
    """One frame a row of two slots, (1, t, 2); what is not given is 0."""
    t = len(next(iter(fields.values())))
    blank = Meta(*(jnp.zeros((1, t, 2), jnp.int32) for _ in Meta._fields))
    return blank._replace(**{name: jnp.asarray([values]) for name, values in fields.items()})


def capture(module, params, *args):
    """(output, input and output of the MLP inside) of an application."""
    inside = []

    def keep(function, args, kwargs, context):
        out = function(*args, **kwargs)
        if isinstance(context.module, layers.Mlp):
            inside.extend([args[0], out])
        return out

    with nn.intercept_methods(keep):
        return module.apply(params, *args), *inside


@pytest.mark.parametrize("pool", ["mean", "attention"])
def test_empty_slots_have_no_share_in_the_embedding_of_a_frame(pool):
    """One used slot is the frame's embedding; none gives zero; two are averaged, by attention with its scores."""
    kind = [[schema.CLICK, 0], [0, schema.SCROLL], [schema.CLICK, schema.SCROLL], [0, 0]]
    module, texts = MetaSlots(8, pool), jnp.zeros((1, 1, 4))
    params = module.init(jax.random.key(1), slots(kind=kind), texts)
    got, _, x = (y[0] for y in capture(module, params, slots(kind=kind), texts))
    np.testing.assert_allclose(got[0], x[0, 0], atol=1e-6)
    np.testing.assert_allclose(got[1], x[1, 1], atol=1e-6)
    np.testing.assert_array_equal(got[3], 0)
    share = jnp.full(2, 0.5)
    if pool == "attention":
        share = jax.nn.softmax((x[2] @ params["params"]["score"]["kernel"])[:, 0])
        assert abs(share - 0.5).max() > 1e-3
    np.testing.assert_allclose(got[2], share @ x[2], atol=1e-6)


OWN = {
    schema.NONE: set(),
    schema.CLICK: {"button", "clicks", "drag", "edges"},
    schema.SCROLL: {"direction", "amount"},
    schema.TEXT: {"text"},
    schema.SHORTCUT: {"shortcut"},
}


@pytest.mark.parametrize("kind", OWN)
def test_a_slot_is_embedded_from_its_types_fields_alone(kind):
    module, texts = MetaSlots(8, "mean"), jax.random.normal(jax.random.key(0), (1, 2, 4))
    params = module.init(jax.random.key(1), slots(kind=[[kind, 0]]), texts)
    before = module.apply(params, slots(kind=[[kind, 0]]), texts)
    for name in Meta._fields[1:]:
        changed = module.apply(params, slots(kind=[[kind, 0]], **{name: [[1, 1]]}), texts)
        assert (abs(changed - before).max() > 1e-6) == (name in OWN[kind]), name


def test_numbers_beyond_a_table_are_its_last_and_the_last_is_its_own():
    module, texts = MetaSlots(8, "mean"), jnp.zeros((1, 1, 4))
    params = module.init(jax.random.key(1), slots(kind=[[0, 0]]), texts)
    for name, last in (
        ("edges", MAX_EDGES),
        ("clicks", schema.CLICKS),
        ("button", len(schema.BUTTONS) - 1),
        ("drag", 1),
    ):
        meta = slots(kind=[[schema.CLICK, 0]] * 3, **{name: [[last - 1, 0], [last, 0], [last + 1, 0]]})
        below, at, beyond = module.apply(params, meta, texts)[0]
        np.testing.assert_array_equal(beyond, at)
        assert abs(at - below).max() > 1e-6, name


def test_scrolls_are_embedded_by_the_logarithm_of_their_notches():
    """log(1 + amount) times a vector, before the MLP: from 0 to 1 notch as far as from 1 to 3."""
    module, texts = MetaSlots(8, "mean"), jnp.zeros((1, 1, 4))
    meta = slots(kind=[[schema.SCROLL, 0]] * 3, amount=[[0, 0], [1, 0], [3, 0]])
    params = module.init(jax.random.key(1), meta, texts)
    _, x, _ = capture(module, params, meta, texts)
    first, second = x[0, 1, 0] - x[0, 0, 0], x[0, 2, 0] - x[0, 1, 0]
    assert abs(first).max() > 0.1
    np.testing.assert_allclose(first, second, atol=1e-6)


# Clips without actions


@pytest.mark.parametrize("config", [{"schema": "raw"}, {"schema": "meta"}])
def test_a_row_without_a_log_has_zero_embeddings_and_the_others_are_as_alone(config):
    module, rows = encoder(**config), [one(CLICK), None, one(())]
    batch = stacked(rows)
    assert batch.valid.tolist() == [True, False, True]
    u = embed(module, batch)
    np.testing.assert_array_equal(u[1], 0)
    for row in (0, 2):
        np.testing.assert_allclose(u[row], embed(module, stacked([rows[row]]))[0], atol=1e-6)
    # What the row holds does not matter: it is masked, and not zero by chance.
    full = jax.tree.map(lambda x: np.stack([x[0], x[0], x[2]]), batch)._replace(valid=batch.valid)
    np.testing.assert_array_equal(embed(module, full)[1], 0)


def test_a_clip_without_events_and_cursor_is_a_clip_without_a_log():
    featurizer = ActionFeaturizer(ByteTokenizer(8), 4)
    clip = Clip("a", np.zeros((FRAMES, *SIZE, 3), np.uint8), FPS)
    bare = featurizer(clip)
    assert not bare.valid and not bare.raw.any() and np.isnan(bare.mouse).all() and not bare.meta.kind.any()
    cursor = np.full((FRAMES, 2), 3, np.float32)
    for changes in ({"events": CLICK}, {"cursor": cursor}, {"logged": True}):
        acts = featurizer(Clip("a", clip.frames, FPS, **changes))
        assert acts.valid, changes
        assert jax.tree.map(np.shape, acts) == jax.tree.map(np.shape, bare)
        assert [x.dtype for x in jax.tree.leaves(acts)] == [x.dtype for x in jax.tree.leaves(bare)]


def test_texts_of_other_numbers_and_lengths_are_padded():
    short, long = empty(FRAMES, TokenIds(np.ones((2, 3), np.int32))), empty(FRAMES, TokenIds(np.ones((4, 5), np.int32)))
    ids = stacked([short, None, long]).texts.ids
    assert ids.shape == (3, 4, 5) and ids.sum(axis=(1, 2)).tolist() == [6, 0, 20] and ids[0, :2, :3].all()
    features = stacked([empty(FRAMES, np.ones((2, 6), np.float32)), None]).texts
    assert features.shape == (2, 2, 6) and features.sum(axis=(1, 2)).tolist() == [12, 0]


def test_rows_that_cannot_be_one_batch_are_rejected():
    with pytest.raises(ValueError, match="1 of 2 clips of a batch lack a part"):
        stacked([np.zeros(3), None])
    with pytest.raises(ValueError, match="features of width 8 in some clips of a batch, token ids in others"):
        stacked([one(), empty(FRAMES, np.zeros((4, 8), np.float32))])
    assert stacked([None, None]) is None


def test_too_many_texts_are_rejected_with_the_way_out():
    typed = [Event(0.1 * i + 0.05, kind, key=char) for i, char in enumerate("abc") for kind in ("press", "release")]
    with pytest.raises(ValueError, match=r"video: 3 different texts.*config.actions.texts=3.*set it to 4"):
        actions(typed, texts=3)


def test_chunks_share_a_frame_whose_actions_belong_to_the_earlier_one():
    whole = actions(CLICK)
    parts = chunked(whole, 5, 2)
    assert parts.mouse.shape == (2, 1, 5, 2)
    assert whole.raw[0, 4].any() and parts.raw[0, 0, 4].any() and not parts.raw[1, 0, 0].any()
    np.testing.assert_array_equal(parts.mouse[1, 0], whole.mouse[0, 4:])
    np.testing.assert_array_equal(parts.texts.ids[1], whole.texts.ids)
    assert parts.valid.tolist() == [[True], [True]]
    with pytest.raises(ValueError, match="chunks=3: need the actions of 13 frames, there are 9; ask for 2"):
        chunked(whole, 5, 3)
