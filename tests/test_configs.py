"""No config can rot: each, shrunk to tiny, builds, updates once and runs once. And every bad value is told plainly."""

import functools
import importlib

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from neural_computer import build
from neural_computer.conditioning import normalize_pixels
from neural_computer.config import ConfigError
from neural_computer.configs import base, guiworld, sizes, tty
from neural_computer.configs.sizes import SIZES
from neural_computer.models.injection import MODES
from neural_computer.train.corruption import STREAMING
from neural_computer.types import Clip, FrozenParams, Params, TokenIds
from neural_computer.workflows import checks
from tests import builders

CONFIGS = [
    "base",
    "cligen:micro",
    "cligen:tiny",
    "cligen:general,tiny",
    "cligen:general,wan_14b_i2v",
    "cligen:clean,wan_1_3b_i2v",
    "guiworld:random_slow,micro",
    *(f"guiworld:goal,wan_14b_i2v,{mode}" for mode in ("none", "external", "contextual", "residual", "internal,xy")),
    "guiworld:random_slow,wan_14b_i2v_768",
    "quickstart:full",
    "quickstart:smoke",
    "arithmetic:sums",
    "arithmetic:probe,large",
    "tty:small",
    "desk_stream",
]
CODECS = ["vae:tiny", "vae:wan"]


def config(name: str) -> ConfigDict:
    module, _, argument = name.partition(":")
    get = importlib.import_module(f"configs.{module}").get_config
    return get(argument) if argument else get()


@functools.partial(jax.jit, static_argnums=0)
def twice(trainer, network, frozen, batch):
    """The state after two updates on one batch, and the metrics of both."""
    return jax.lax.scan(lambda state, _: trainer.update(state, frozen, batch, 0), trainer.start(network), length=2)


def tiny(wanted: ConfigDict) -> None:
    """The config at the smallest size. Its own way of asking the network is kept, and that it streams, if it does."""
    own, window = wanted.sampling.to_dict(), wanted.network.window
    SIZES["tiny"](wanted)
    wanted.sampling.update(own | {"num_steps": 2, "guidance": 1.0})
    wanted.optimizer.kind = "adamw"  # Muon takes half a minute to compile, and has tests of its own
    if wanted.objective.kind in STREAMING:
        sizes.streaming(wanted, min(window, 2))
        wanted.data.batch_size = 2
        _, high, wide = wanted.network.patch
        wanted.network.positions = (0, 2 // high, 4 // wide)


@functools.partial(jax.jit, static_argnums=(0, 5))
def video(computer, params, first, text, u, chunks):
    """The video of a computer from boot on."""
    state = computer.boot(params, first, text)
    _, frames = computer.run(params, state, u, jax.random.key(0), chunks=chunks)
    return computer.join(normalize_pixels(first), frames)


@functools.partial(jax.jit, static_argnums=0)
def coded(codec, params, video):
    """The latents, and the video that is made of them."""
    z = codec.encode(params, video)
    return z, codec.decode(params, z)


@functools.cache
def network(model):
    """Its parameters, nothing of them zero."""
    return builders.drawn(jax.eval_shape(model.init, jax.random.key(0)))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_builds_updates_and_runs(name):
    wanted = config(name)
    if name != "base":
        build.build(config(name))  # at its own size
    tiny(wanted)
    small = build.build(wanted)
    frozen, batch = builders.frozen(small), builders.batch(wanted.data.batch_size)
    rows = wanted.data.batch_size
    batch = batch._replace(actions=builders.actions(small, rows), regions=builders.regions(small, rows))
    before = network(small.computer)
    state, metrics = twice(small.trainer, before, frozen, batch)
    assert np.isfinite(metrics["loss"]).all() and (metrics["gradient_norm"] > 0).all()
    moved = jax.tree.leaves(jax.tree.map(lambda a, b: np.abs(a - b).max(), before, state.network))
    assert max(moved) > 0
    chunks = getattr(small.computer, "clip_chunks", 1)  # of one that streams, as many as the clip has
    actions = jax.tree.map(lambda x: x[:2], batch.actions)
    u = None if actions is None else small.computer.split(actions, chunks)
    params, text = Params(state.ema, frozen), TokenIds(batch.text.ids[:2])
    frames = video(small.computer, params, batch.video[:2, 0], text, u, chunks)
    assert frames.shape == (2, 5, 16, 32, 3) and np.isfinite(frames).all()


@pytest.mark.parametrize("size", tty.SIZES)
@pytest.mark.parametrize("what", tty.WINDOWS)
def test_every_form_of_the_terminal_builds(size, what):
    built = build.build(tty.get_config(f"{size},{what}"))
    assert built.computer.causal.window == tty.WINDOWS[what]


@pytest.mark.slow
@pytest.mark.parametrize("name", CODECS)
def test_every_codec_builds_updates_and_runs(name):
    wanted = config(name)
    build.build(config(name))  # at its own size
    wanted.data.update(frames=5, height=16, width=32, batch_size=2)
    wanted.vae.update(width=4, multipliers=(1, 1, 2, 2), blocks=1)
    wanted.reconstruction.lpips = 0.0  # of an optional package, and tested by itself
    small = build.build(wanted)
    trainer, batch, before = small.trainer, builders.batch(2), network(small.trainer.model)
    held = FrozenParams(network_held=trainer.optimizer.split(before)[1])
    after, metrics = twice(trainer, before, held, batch)
    assert np.isfinite(metrics["loss"]).all() and (metrics["gradient_norm"] > 0).all()
    coder = trainer.model
    params = coder.params(trainer.params(after.ema, held).network)
    z, video = coded(coder.codec, params, normalize_pixels(batch.video))
    assert z.shape == (2, 2, 2, 4, 16) and video.shape == batch.video.shape


def test_configs_are_tested():
    """Every file of configs/ that has a get_config is in the list above."""
    from pathlib import Path

    found = {p.stem for p in Path(base.__file__).parent.glob("*.py") if "def get_config" in p.read_text()}
    assert found == {name.partition(":")[0] for name in CONFIGS + CODECS}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network__heads": 3}, r"config.network.heads=3: .*; try heads=1"),
        ({"network__patch": (1, 3, 2)}, r"config.network.patch=\(1, 3, 2\): must divide the latent size 2x4"),
        ({"injection__every": 3}, r"config.injection.*every=3: must divide layers=2"),
        ({"injection__mode": "telepathy"}, r"config.injection.mode='telepathy': unknown; one of none"),
        ({"data__frames": 6}, r"config.data.frames=6: must be 4k \+ 1; try 5"),
        ({"data__height": 20}, r"config.data.size=20x32: must be multiples of 8x8"),
        ({"network__prediction_type": "eps"}, r"config.network.prediction_type='eps': unknown; one of v, x0"),
        ({"objective__dropout_text": 1.0}, r"config.objective.dropout_text=1.0: must be in \[0, 1\)"),
        (
            {"optimizer__accumulate_steps": 3},
            r"config.optimizer.accumulate_steps=3: must divide config.data.batch_size=8",
        ),
        ({"network__dtype": "float8"}, r"config.network.dtype='float8': unknown; one of float32, bfloat16"),
        ({"optimizer__learning_rate": 0.0}, r"config.optimizer.learning_rate=0.0: must be positive"),
    ],
)
def test_impossible_values_name_path_value_rule(changes, message):
    with pytest.raises(ConfigError, match=message):
        builders.experiment(**changes)


def test_an_unknown_key_is_told_with_the_nearest_known():
    wrong = base.get_config()
    wrong.optimizer.weight_decoy = 1.0
    with pytest.raises(
        ConfigError, match="config.optimizer.weight_decoy=1.0: unknown key; did you mean .*weight_decay"
    ):
        build.build(wrong)


def test_a_missing_key_and_a_wrong_type_are_told():
    wrong = base.get_config()
    del wrong.sampling.shift
    with pytest.raises(ConfigError, match="config.sampling.shift: missing"):
        build.build(wrong)
    typed = base.get_config().to_dict()
    typed["data"]["frames"] = "nine"
    with pytest.raises(ConfigError, match="config.data.frames='nine': must be int, is str"):
        build.build(ConfigDict(typed))


def test_videos_of_another_size_are_told():
    video = Clip("a", np.zeros((5, 24, 32, 3), np.uint8), 5)
    with pytest.raises(ConfigError, match="are 24x32: set height and width"):
        checks.check_videos(builders.experiment(), video)


def test_a_configs_values_are_what_a_user_gets():
    """Every value of a config is that of the object built from it; no default of a class takes its place."""
    wanted = guiworld.get_config("goal,tiny,contextual,fourier")
    wanted.network.update(remat="dots", lora=3, context_parallel="ring", attention="blockwise", time_width=18)
    wanted.network.update(prediction_type="v", condition_layout="wan", clean_first_frame=False)
    wanted.injection.update(every=2, window=3, lag=1)
    wanted.actions.update(
        pool="attention", fourier=7, scale=1.5, window=2, lag=3, texts=5, text_length=6, cursor_height=7.5
    )
    wanted.sampling.update(solver="unipc", num_steps=7, shift=2.5, guidance=1.5)
    wanted.objective.update(shift=1.5, dropout_text=0.2, dropout_image=0.3, dropout_cond=0.4, pure_noise=0.15)
    wanted.objective.update(cursor=0.5, contrastive=0.6, future=0.7, temperature=0.2)
    wanted.optimizer.update(
        learning_rate=3e-3, warmup_steps=3, decay_steps=90, final_learning_rate=1e-5, b1=0.8, b2=0.95
    )
    wanted.optimizer.update(weight_decay=0.03, grad_clip_norm=0.7, trainable="dit", accumulate_steps=2, ema_decay=0.9)
    wanted.schedule.update(steps=17, checkpoint_every=4, max_to_keep=3, log_every=5, eval_every=6)
    built = build.build(wanted)
    computer = built.computer
    assert computer.network.dit.causal is None
    for name in ("causal", "window", "chunk", "entries"):  # of a computer that streams: the next test
        del wanted.network[name]
    assert_values(built, wanted)
    text = computer.network.text
    assert (text.width, text.length, text.heads, text.depth) == tuple(
        wanted.text[name] for name in ("width", "length", "heads", "depth")
    )
    assert (computer.codec.channels, computer.codec.whiten) == (wanted.codec.channels, wanted.codec.whiten)


def test_a_streaming_configs_values_are_what_a_user_gets():
    wanted = tty.get_config("small,memory")
    wanted.data.frames = 13
    wanted.network.update(window=3, chunk=2, entries="chunks")
    wanted.objective.update(kind="diffusion_forcing", history_noise=0.35, pure_noise=0.65, dropout_actions=0.15)
    wanted.optimizer.update(kind="adamw")
    built = build.build(wanted)
    for name in ("window", "lag"):  # of the contextual mode, which cannot stream
        del wanted.injection[name]
    assert_values(built, wanted)
    assert built.computer.codec.stride[0] == wanted.codec.temporal_stride == 1


def assert_values(built, wanted: ConfigDict) -> None:
    """Every value of these sections is that of the object built from it."""
    computer, dit = built.computer, built.computer.network.dit
    encoder = computer.network.actions.config
    objects = {
        "optimizer": built.trainer.optimizer,
        "objective": built.trainer.objective,
        "schedule": built.schedule,
        "sampling": computer.sampler,
        "evaluation": built.evaluation,
        "data": built.data,
        "codec": built.codec,
        "injection": dit.injection,
        "network": (dit.shape, dit, computer.denoiser, computer.conditioner, dit.causal, computer),
        "actions": (encoder, encoder.align, built.inputs, computer.conditioner),
    }
    elsewhere = {
        "network.dtype": dit.dtype.name,
        "network.causal": dit.causal is not None,
        "network.context_parallel": dit.context,
        "actions.cursor": encoder.mouse,
        "actions.text_length": built.inputs.tokenizer.length,
        "actions.window": encoder.align.window,
        "injection.mode": next(name for name, mode in MODES.items() if type(dit.injection) is mode),
    }
    for section, made in objects.items():
        for name, value in wanted[section].items():
            path = f"{section}.{name}"
            owners = [part for part in (made if isinstance(made, tuple) else (made,)) if hasattr(part, name)]
            assert path in elsewhere or owners, path
            got = elsewhere[path] if path in elsewhere else getattr(owners[0], name)
            value = value.to_dict() if hasattr(value, "to_dict") else value
            assert got == (tuple(value) if isinstance(got, tuple) else value), path


def test_the_paper_s_values_are_the_base_s():
    values = base.get_config()
    optimizer, objective = values.optimizer, values.objective
    assert (optimizer.learning_rate, optimizer.weight_decay, optimizer.grad_clip_norm) == (5e-5, 0.01, 1.0)
    assert (objective.dropout_text, objective.dropout_image, objective.dropout_cond) == (0.1, 0.1, 0.1)
    assert (values.network.prediction_type, values.network.condition_layout) == ("v", "wan")
    assert (values.data.frames, values.data.height, values.data.width) == (81, 480, 832)
