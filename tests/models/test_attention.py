"""Every kernel on every mesh is the plain formula, forward and backward."""

from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from neural_computer import sharding
from neural_computer.models import attention, ring_attention
from neural_computer.models.attention import Causal, attend, shard_tokens

THREE = {"data": 2, "context": 2, "tensor": 2}
METHODS = [("gather", "xla"), ("ring", "xla"), ("all_to_all", "xla"), ("all_to_all", "blockwise")]


def mesh(sizes):
    return sharding.make_mesh(sizes, jax.devices()[: int(np.prod(list(sizes.values())))])


def draw(*shapes, dtype=jnp.float32):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in shapes]


def video(queries=3, keys=3, patches=5, heads=4, dim=8):
    """Queries, keys, values of some latent frames, and a weight for every number of the output."""
    q, k = (2, queries, patches, heads, dim), (2, keys, patches, heads, dim)
    return draw(q, k, k, q)


def tokens(x):
    return x.reshape(x.shape[0], -1, *x.shape[-2:])


def plain(query, key, value, causal=None, lengths=None):
    """The formula, with the masks written out."""
    scores = jnp.einsum("bnkd,bmkd->bknm", tokens(query), tokens(key)) / np.sqrt(query.shape[-1])
    if causal is not None:
        visible = frames_seen(causal, query.shape[1])
        scores = jnp.where(np.repeat(np.repeat(visible, query.shape[2], 0), query.shape[2], 1), scores, -1e30)
    if lengths is not None:
        seen = np.arange(scores.shape[-1]) < np.asarray(lengths)[:, None]
        scores = jnp.where(seen[:, None, None], scores, -1e30)
    return jnp.einsum("bknm,bmkd->bnkd", jax.nn.softmax(scores), tokens(value)).reshape(query.shape)


def frames_seen(causal, frames):
    """(frame of the queries, frame of the keys): whether the one sees the other, pair by pair."""
    length = frames // causal.streams
    window = frames if causal.window is None else causal.window

    def sees(i, j):
        mine, theirs = (frame % length // causal.chunk for frame in (i, j))
        if j >= length:  # noisy: by its own chunk alone
            return i >= length and mine == theirs
        if i >= length:
            return mine - window < theirs <= mine
        return mine - window <= theirs <= mine

    return np.asarray([[sees(i, j) for j in range(frames)] for i in range(frames)])


jitted_plain = jax.jit(plain, static_argnums=(3, 4))


def everything(function, query, key, value, weight, *rest):
    """The output and the gradients of its weighted sum by query, key and value."""

    def both(query, key, value, *rest):
        out, back = jax.vjp(lambda q, k, v: function(q, k, v, *rest), query, key, value)
        return out, *back(weight)

    return jax.jit(both)(query, key, value, *rest)


@lru_cache
def expected_of(*shape, causal=None, lengths=None):
    """`everything` of the plain formula on a video of that shape."""
    return everything(partial(plain, causal=causal, lengths=lengths), *video(*shape))


def assert_same(got, expected):
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.fixture
def splash(monkeypatch):
    """The TPU kernel, interpreted."""
    monkeypatch.setitem(attention.KERNELS, "splash", partial(attention._splash, interpret=True))
    monkeypatch.setattr(attention, "check", lambda *_: None)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks, the last not full, even of few keys."""
    monkeypatch.setattr(ring_attention, "BLOCK", 4)


# One device


@pytest.mark.parametrize("implementation", ["xla", "blockwise", "splash"])
def test_keys_of_another_length(implementation, splash):
    inputs = draw((2, 7, 2, 8), (2, 11, 2, 8), (2, 11, 2, 8), (2, 7, 2, 8))
    assert_same(everything(partial(attend, implementation=implementation), *inputs), everything(plain, *inputs))


@pytest.mark.parametrize(
    "implementation, causal",
    [
        ("xla", Causal()),
        ("blockwise", Causal(window=1)),
        ("xla", Causal(window=0)),
        ("splash", Causal(chunk=2)),
        ("xla", Causal(chunk=2, window=1)),
        ("blockwise", Causal(streams=2)),
        ("xla", Causal(window=1, streams=2)),
        ("splash", Causal(chunk=2, window=1, streams=2)),
    ],
)
def test_which_frames_a_causal_network_sees(implementation, causal, splash):
    frames = 4 * causal.streams * causal.chunk
    form = partial(attend, implementation=implementation, causal=causal)
    assert_same(everything(form, *video(frames, frames, 2)), expected_of(frames, frames, 2, causal=causal))


@pytest.mark.parametrize("implementation", ["xla", "blockwise", "splash"])
def test_a_row_sees_its_own_number_of_keys(implementation, splash):
    """One compiled function serves all lengths; what lies beyond may be anything."""
    query, key, value, _ = map(np.asarray, video(1, keys=4))
    form = jax.jit(lambda q, k, v, lengths: attend(q, k, v, implementation, lengths=lengths))
    for lengths in ((5, 20), (11, 1)):
        beyond = (np.arange(20) >= np.asarray(lengths)[:, None]).reshape(2, 4, 5, 1, 1)
        far = np.float32(1e4)
        got = form(query, np.where(beyond, far, key), np.where(beyond, far, value), np.int32(lengths))
        np.testing.assert_allclose(got, jitted_plain(query, key, value, None, lengths), atol=1e-5)
    assert form._cache_size() == 1


@pytest.mark.parametrize("implementation", ["xla", "blockwise"])
def test_no_frame_sees_the_next(implementation):
    query, key, value, _ = video()

    def second(key, value):
        return jnp.sum(attend(query, key, value, implementation, causal=True)[:, 1])

    for gradient in jax.jit(jax.grad(second, (0, 1)))(key, value):
        np.testing.assert_array_equal(gradient[:, 2], 0)
        assert np.all(np.any(gradient[:, :2], axis=(2, 3, 4)))


@pytest.mark.parametrize("implementation", ["xla", "blockwise"])
def test_bfloat16_stays_near_float32(implementation):
    inputs = video()
    half = [x.astype(jnp.bfloat16) for x in inputs]
    rough = everything(partial(attend, implementation=implementation, causal=True), *half)
    for a, b in zip(rough, expected_of(causal=Causal()), strict=True):
        assert a.dtype == jnp.bfloat16
        assert np.abs(a - b).max() < 0.02 * np.abs(b).max()


@pytest.mark.parametrize("options", [{}, {"causal": Causal()}, {"lengths": (5, 12)}])
def test_cudnn_gets_even_lengths_and_no_mask(options, monkeypatch):
    """What jax can differentiate; another kernel stands in for cuDNN's."""
    kernel = jax.nn.dot_product_attention

    def even(query, key, value, key_value_seq_lengths, implementation):
        assert implementation == "cudnn"
        assert query.shape[1] % 2 == key.shape[1] % 2 == 0
        return kernel(query, key, value, key_value_seq_lengths=key_value_seq_lengths, implementation="xla")

    monkeypatch.setattr(attention, "check", lambda *_: None)
    monkeypatch.setattr(jax.nn, "dot_product_attention", even)
    expected = expected_of(**options)
    if "lengths" in options:
        options = {"lengths": jnp.asarray(options["lengths"])}
    assert_same(everything(partial(attend, implementation="cudnn", **options), *video()), expected)


def test_large_scores_do_not_overflow():
    """The running maximum rises from block to block."""
    query, key, value, _ = video()
    key = np.asarray(key) * np.linspace(1, 300, 3, dtype=np.float32)[:, None, None, None]
    got = jax.jit(partial(attend, implementation="blockwise"))(query, key, value)
    exact = jitted_plain(query, key, value)
    np.testing.assert_allclose(got, exact, atol=1e-4)


def test_blockwise_needs_little_memory(monkeypatch):
    monkeypatch.undo()
    inputs = [jax.ShapeDtypeStruct((1, 2048, 2, 8), jnp.float32)] * 4

    def memory(implementation):
        def gradients(query, key, value, weight):
            out, back = jax.vjp(lambda *x: attend(*x, implementation), query, key, value)
            return back(weight)

        return jax.jit(gradients).lower(*inputs).compile().memory_analysis().temp_size_in_bytes

    assert memory("blockwise") < memory("xla") / 4


def test_blockwise_under_a_scan_over_depth_keeps_no_masks(monkeypatch):
    """Twice the tokens take about twice the memory, not four times: masks are not made ahead for all blocks."""
    monkeypatch.undo()

    def memory(tokens):
        @jax.checkpoint
        def layer(x, scale):
            return x + attend(x * scale, x, x, "blockwise"), None

        def loss(x, scales):
            return jax.lax.scan(layer, x, scales)[0].sum()

        inputs = jax.ShapeDtypeStruct((1, tokens, 8, 8), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.float32)
        return jax.jit(jax.grad(loss)).lower(*inputs).compile().memory_analysis().temp_size_in_bytes

    assert memory(4096) < 2.5 * memory(2048)


@pytest.mark.parametrize(
    ("size", "cover"),
    [(1, (128, 128)), (128, (128, 128)), (129, (256, 256)), (512, (512, 512)), (513, (768, 384)), (1100, (1152, 384))],
)
def test_blocks_of_the_tpu_kernel_are_few_and_of_whole_lanes(size, cover):
    assert attention._cover(size) == cover


# Over a mesh


@pytest.mark.parametrize(
    "sizes, method, implementation, causal",
    [
        ({"context": 2}, "gather", "xla", None),
        ({"context": 2}, "ring", "xla", None),
        ({"context": 4}, "ring", "xla", Causal()),
        ({"context": 2}, "all_to_all", "xla", None),
        ({"context": 4}, "all_to_all", "blockwise", Causal(window=1, streams=2)),
        (THREE, "gather", "xla", Causal(chunk=2, window=1)),
    ],
)
def test_tokens_split_over_a_mesh(sizes, method, implementation, causal):
    """Five patches on two or four devices: the odd ones are filled up."""
    form = partial(attend, implementation=implementation, causal=causal, context=method)
    shape = (4, 4, 5, 8) if causal else (2, 3, 5, 8)
    with jax.set_mesh(mesh(sizes)):
        got = everything(form, *video(*shape))
    assert_same(got, expected_of(*shape, causal=causal))


@pytest.mark.parametrize("method, implementation", [("gather", "xla"), ("gather", "blockwise"), ("all_to_all", "xla")])
def test_rows_of_several_lengths_split_over_a_mesh(method, implementation):
    lengths = (7, 15)
    with jax.set_mesh(mesh(THREE)):

        def form(query, key, value, lengths):
            return attend(query, key, value, implementation, lengths=lengths, context=method)

        got = everything(form, *video(1, 3), jnp.asarray(lengths))
    assert_same(got, expected_of(1, 3, lengths=lengths))


@pytest.mark.parametrize("implementation", ["xla", "splash"])
def test_queries_split_and_keys_whole(implementation, splash):
    """Cross-attention."""
    inputs = draw((2, 3, 5, 4, 8), (2, 7, 4, 8), (2, 7, 4, 8), (2, 3, 5, 4, 8))
    with jax.set_mesh(mesh(THREE)):
        got = everything(partial(attend, implementation=implementation, context="ring"), *inputs)
    assert_same(got, everything(plain, *inputs))


def test_a_kernel_is_called_by_every_device_for_its_rows_and_heads(splash):
    """GSPMD cannot split one; a batch that does not divide stays whole."""
    with jax.set_mesh(mesh({"data": 2, "tensor": 2})):
        form = partial(attend, implementation="splash")
        assert_same(everything(form, *video()), expected_of())
        one = jax.jit(form)(*(x[:1] for x in video()[:3]))
        called = jax.make_jaxpr(form)(*video()[:3]).pretty_print(use_color=False)
    np.testing.assert_allclose(one, expected_of()[0][:1], atol=1e-5)
    assert "f32[1,2,128,8]" in called


@pytest.mark.parametrize(
    "method, used, unused",
    [
        ("gather", "all-gather", "collective-permute"),
        ("ring", "collective-permute", "all-gather"),
        ("all_to_all", "all-to-all", "all-gather"),
    ],
)
def test_what_travels(method, used, unused):
    """Split tokens stay split up to the kernel and from it: nothing but the method's own exchange."""

    def layer(h):
        h = shard_tokens(h)
        q = h.reshape(*h.shape[:-1], 4, 8)
        return shard_tokens(attend(q, q, q, causal=True, context=method).reshape(h.shape))

    ours = mesh({"context": 4})
    at = jax.NamedSharding(ours, jax.P(("data", "fsdp"), None, "context"))
    h = jax.ShapeDtypeStruct((2, 3, 4, 32), jnp.float32, sharding=at)
    with jax.set_mesh(ours):
        compiled = jax.jit(layer).lower(h).compile()
    assert compiled.output_shardings.is_equivalent_to(at, 4)
    text = compiled.as_text()
    assert used in text
    assert unused not in text


def test_under_scan_and_rematerialisation():
    """As in a network: the gradient of three layers in a row is that of one device."""
    query, key, value, weight = video(2, 2)

    def gradient(method):
        def loss(query, key, value):
            layer = jax.checkpoint(lambda q, _: (attend(q, key, value, causal=True, context=method), None))
            return jnp.sum(weight * jax.lax.scan(layer, query, length=3)[0])

        return jax.jit(jax.grad(loss, (0, 1, 2)))(query, key, value)

    alone = gradient("gather")
    with jax.set_mesh(mesh(THREE)):
        for method in ("ring", "all_to_all"):
            assert_same(gradient(method), alone)


def test_tokens_are_split_where_the_mesh_does():
    h = jnp.ones((2, 2, 4, 4))
    assert shard_tokens(h) is h
    with jax.set_mesh(mesh(THREE)):
        shard = jax.jit(shard_tokens)(h).addressable_shards[0].data
    assert shard.shape == (1, 2, 2, 4)


# What cannot be


@pytest.mark.parametrize(
    "options, message",
    [
        ({"implementation": "flash"}, "attention='flash': unknown; one of xla, blockwise"),
        ({"context": "none"}, "context='none': unknown; one of gather"),
        ({"implementation": "cudnn"}, "attention='cudnn': needs an NVIDIA GPU, jax runs on cpu; use attention='xla'"),
        ({"implementation": "splash"}, "attention='splash': needs a TPU"),
        ({"causal": True}, "causal: needs queries and keys"),
    ],
)
def test_impossible_values_name_themselves(options, message):
    with pytest.raises(ValueError, match=message):
        attend(*video(2)[:3], **options)


@pytest.mark.parametrize(
    "causal, options, message",
    [
        (Causal(chunk=2), {}, "chunk=2: must divide the 3 latent frames"),
        (Causal(streams=2), {}, "chunk=1: must divide"),
        (Causal(), {"lengths": jnp.asarray([5, 5])}, "lengths: not with causal attention"),
    ],
)
def test_impossible_frames_name_themselves(causal, options, message):
    with pytest.raises(ValueError, match=message):
        attend(*video()[:3], causal=causal, **options)


def test_block_causal_needs_frames():
    with pytest.raises(ValueError, match="causal: needs queries and keys"):
        attend(*draw((1, 4, 2, 8), (1, 4, 2, 8), (1, 4, 2, 8)), causal=True)


def test_a_ring_has_no_window():
    with jax.set_mesh(mesh({"context": 2})), pytest.raises(ValueError, match="context='ring': has no window"):
        attend(*video()[:3], causal=Causal(window=1), context="ring")


@pytest.mark.parametrize(
    "dtype, dim, message", [("float32", 8, "dtype='float32': attention='cudnn'"), ("bfloat16", 12, "this is 12")]
)
def test_cudnn_needs_half_precision_and_heads_of_eights(dtype, dim, message, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with pytest.raises(ValueError, match=message):
        attend(*draw((1, 4, 2, dim), (1, 4, 2, dim), (1, 4, 2, dim), dtype=dtype), "cudnn")


@pytest.mark.parametrize(
    "sizes, heads, options, message",
    [
        ({"context": 2}, 4, {"implementation": "splash", "context": "ring"}, "cannot use attention='splash'"),
        ({"context": 4}, 2, {"context": "all_to_all"}, "has 2 heads, they must be a multiple of mesh.context=4"),
        ({"context": 2, "tensor": 2}, 3, {}, "heads=3: must be a multiple of mesh.tensor=2"),
    ],
)
def test_impossible_meshes(sizes, heads, options, message, splash):
    with jax.set_mesh(mesh(sizes)), pytest.raises(ValueError, match=message):
        attend(*video(heads=heads)[:3], **options)


@pytest.mark.gpu
@pytest.mark.parametrize("options", [{}, {"causal": Causal(window=1)}, {"lengths": (523, 1100)}])
def test_cudnn_at_an_awkward_length(options):
    """A prime number of tokens a frame; frames are slices, a row's own number of keys is a length."""
    exact, expected = video(3, 3, 523, 2, 64), expected_of(3, 3, 523, 2, 64, **options)
    half = [x.astype(jnp.bfloat16) for x in exact]
    if "lengths" in options:
        options = {"lengths": jnp.asarray(options["lengths"])}
    got = everything(partial(attend, implementation="cudnn", **options), *half)
    for a, b in zip(got, expected, strict=True):
        assert np.isfinite(a.astype(jnp.float32)).all()
        assert np.abs(a - b).max() < 0.03 * np.abs(b).max()
