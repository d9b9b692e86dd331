"""The encoded cache: what is read is what the encoders gave, in the order and with the captions of the videos."""

import dataclasses
import json
import pickle
from itertools import islice

import jax
import ml_dtypes
import numpy as np
import pytest

from neural_computer import sharding
from neural_computer.config import ConfigError
from neural_computer.data import encoded, pipeline
from neural_computer.data.encoded import EncodedClip, EncodedSource, Info, first_frame_mask
from neural_computer.data.episodes import EpisodeWriter
from neural_computer.data.tokens import ByteTokenizer
from neural_computer.data.windows import ClipSource
from neural_computer.experiment import Experiment
from neural_computer.models.clip import CLIPVision
from neural_computer.models.umt5 import UMT5
from neural_computer.types import Episode, FrozenParams
from neural_computer.workflows import checks, encode
from tests.builders import experiment, params

TIERS = {"plain": 0.3, "answered": 0.7}


@pytest.fixture(scope="module")
def captioned(tmp_path_factory):
    """Videos with captions of two tiers: eighteen windows to train on, three held out."""
    folder, rng = tmp_path_factory.mktemp("captioned"), np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 1)):
        with EpisodeWriter(folder, split, window=5) as writer:
            for i in range(count):
                captions = {"plain": f"video {i}", "answered": f"video {i} is é"}
                frames = rng.integers(0, 256, (7, 16, 32, 3)).astype(np.uint8)
                writer.write(Episode(f"{split}-{i}", frames, fps=5, captions=captions))
    return folder


def cached(
    small: Experiment, videos, folder, dtype: str = "float32", clips: int = 7, split: str = "train"
) -> EncodedSource:
    """The training videos after the encoders."""
    plan = encode.plan(small, videos, None, dtype, clips)
    folder.mkdir(exist_ok=True)
    encode.begin(plan, folder)
    encode.write(plan, encode.load_encoder(plan, folder), folder)
    return EncodedSource(folder, split)


def some(source, count: int = 4, **settings):
    options = {"tokenizer": ByteTokenizer(40), "captions": TIERS, "batch_size": 4, "seed": 3} | settings
    return list(islice(pipeline.batches(source, **options), count))


def clip(i: int = 0, dtype=np.float32, **changes) -> EncodedClip:
    rng = np.random.default_rng(i)

    def floats(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(dtype)

    fields = {
        "id": f"é{i}",
        "start": i,
        "latents": floats(2, 8, 8, 16),
        "condition": floats(2, 8, 8, 16),
        "captions": {"plain": floats(3, 8), "a/b": floats(0, 8)},
        "image": floats(5, 6),
    }
    return EncodedClip(**fields | changes)


def folder_of(folder, count: int = 10, clips: int = 4) -> EncodedSource:
    info = Info("videos", {}, {"train": count}, {}, {}, "float32", clips)
    info.save(folder)
    for number, name in enumerate(info.files("train")):
        encoded.write(folder / name, [clip(i) for i in range(count)][number * clips : (number + 1) * clips])
    return EncodedSource(folder, "train")


@pytest.mark.parametrize("condition", ["repeat", "wan"])
def test_batches_are_those_of_the_videos_after_the_encoders(captioned, tmp_path, condition):
    """Same order, same captions, same arrays, over more than one round of the videos."""
    small = experiment(network__condition_layout=condition)
    source = cached(small, captioned, tmp_path)
    videos = ClipSource(captioned, "train", 5)
    frozen = FrozenParams(codec=checks.fit_codec(small, videos))
    encode_batch = jax.jit(small.computer.encode)
    tiers = set()
    for video, read in zip(some(videos, 6), some(source, 6), strict=True):
        expected = encode_batch(frozen, video)
        np.testing.assert_array_equal(read.index, video.index)
        np.testing.assert_array_equal(read.text.ids, video.text.ids)
        assert (read.index.dtype, read.text.ids.dtype) == (video.index.dtype, video.text.ids.dtype)
        for name in ("latents", "cond"):
            np.testing.assert_allclose(getattr(read, name), getattr(expected, name), atol=1e-6)
        assert read.latents.dtype == read.cond.dtype == np.float32 and read.image is None
        tiers |= {int((row != 0).sum()) for row in read.text.ids}
    assert tiers == {7, 13}, "captions have 7 and 13 bytes: both tiers were drawn"


def test_any_number_of_processes_sees_the_same_clips(tmp_path):
    source, settings = folder_of(tmp_path), {"captions": {"plain": 1.0}}
    shares = [some(source, process_index=p, process_count=2, **settings) for p in range(2)]
    for number, whole in enumerate(some(source, **settings)):
        rows = {i: z for share in shares for i, z in zip(*share[number][:2], strict=True)}
        for i, latents in zip(*whole[:2], strict=True):
            np.testing.assert_array_equal(rows[i], latents)


@pytest.mark.slow
def test_training_from_it_is_training_from_videos(captioned, tmp_path):
    """Float32 changes neither loss nor gradients; bfloat16 changes the loss, here by 3 in 10,000."""
    small = experiment(network__layers=1, objective__dropout_text=0.3, objective__dropout_cond=0.3)
    source, videos = cached(small, captioned, tmp_path / "a"), ClipSource(captioned, "train", 5)
    rough = cached(small, captioned, tmp_path / "b", "bfloat16")
    network, frozen = params(small).network, FrozenParams(codec=checks.fit_codec(small, videos))
    gradients = jax.jit(lambda frozen, rows: small.trainer.gradients(network, frozen, rows, 0))
    for video, read, half in zip(some(videos, 2), some(source, 2), some(rough, 2), strict=True):
        (one, expected), (two, same) = gradients(frozen, video), gradients(FrozenParams(), read)
        _, near = gradients(FrozenParams(), half)
        assert abs(expected["loss"] - same["loss"]) <= 1e-6 * expected["loss"]
        largest = max(np.abs(x).max() for x in jax.tree.leaves(one))
        for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-6 * largest)
        assert 0 < abs(expected["loss"] - near["loss"]) < 1e-3 * expected["loss"]


@pytest.mark.parametrize("dtype, apart", [("float32", 1e-5), ("bfloat16", 2**-8)])
def test_features_of_text_and_image(captioned, tmp_path, dtype, apart):
    """Frozen encoders: padding is not stored, and comes back as the zeros that UMT5 gives it."""
    sizes = {
        "umt5": {"vocab": 300, "width": 16, "ffn": 24, "heads": 2, "head_dim": 8, "depth": 1},
        "clip": {"image": 28, "width": 16, "ffn": 24, "heads": 2, "depth": 1},
    }
    preset = {name: {"config": config, "files": {name: 1}} for name, config in sizes.items()}
    (tmp_path / "preset.json").write_text(json.dumps(preset))
    wide = {"init": str(tmp_path), "text__kind": "umt5", "image__kind": "clip"}
    small = dataclasses.replace(experiment(**wide), tokenizer=ByteTokenizer(40))
    rng, videos = np.random.default_rng(0), ClipSource(captioned, "train", 5)
    modules = {"umt5": (UMT5(**sizes["umt5"]), np.zeros((1, 1), np.int32))}
    modules["clip"] = CLIPVision(**sizes["clip"]), np.zeros((1, 28, 28, 3), np.float32)
    arrays = {
        name: jax.tree.map(
            lambda x: rng.normal(0, 0.3, x.shape).astype(np.float32),
            jax.eval_shape(module.init, jax.random.key(0), like)["params"],
        )
        for name, (module, like) in modules.items()
    }
    frozen = FrozenParams(checks.fit_codec(small, videos), arrays["umt5"], arrays["clip"])
    plan = encode.plan(small, captioned, ["train"], dtype, 100)
    mesh = sharding.make_mesh()
    plan.info.save(tmp_path)
    encode.write(plan, encode.ClipEncoder(small, sharding.place(frozen, mesh), mesh, 8, dtype), tmp_path)
    source = EncodedSource(tmp_path, "train")
    (video,), (read,) = some(videos, 1), some(source, 1)
    expected = jax.jit(small.computer.encode)(frozen, video)
    for name in ("latents", "cond", "text", "image"):
        computed, stored = np.asarray(getattr(expected, name)), getattr(read, name)
        assert computed.shape == stored.shape and stored.dtype == np.float32
        np.testing.assert_allclose(stored, computed, rtol=apart, atol=1e-5)
    assert (read.text[video.text.ids == 0] == 0).all() and read.text[video.text.ids != 0].all()
    assert {x.shape[0] for x in source[0].captions.values()} == {7, 13}
    assert plan.info.origin["encoders"] == {"umt5": {"umt5": 1}, "clip": {"clip": 1}}
    size = len(source[0].to_bytes())
    assert sum(encode.cost(plan).values()) <= size <= sum(encode.cost(plan).values()) + 1000


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16])
def test_a_record_is_read_as_it_was_written(dtype):
    for one in (clip(3, dtype), clip(4, dtype, image=None, captions={"x": np.arange(4, dtype=np.int32)})):
        two = EncodedClip.from_bytes(one.to_bytes())
        assert (two.id, two.start) == (one.id, one.start) and (two.image is None) == (one.image is None)
        arrays = [(getattr(x, name) for name in ("latents", "condition", "image")) for x in (one, two)]
        for a, b in [*zip(*arrays, strict=True), *((one.captions[tier], two.captions[tier]) for tier in one.captions)]:
            if a is not None:
                assert a.dtype == b.dtype
                np.testing.assert_array_equal(a, b)


def test_clips_are_at_their_place_in_any_file(tmp_path):
    source = folder_of(tmp_path)
    assert len(source) == 10 and len(source.files) == 3
    assert [source[i].start for i in (0, 3, 4, 9, -1)] == [0, 3, 4, 9, 9]
    with pytest.raises(IndexError):
        source[10]
    twin = pickle.loads(pickle.dumps(source))
    assert repr(twin) == repr(source) and twin[5].start == 5


def test_what_is_not_whole_is_not_read(tmp_path):
    source = folder_of(tmp_path)
    last = source.files[-1]
    last.rename(last.with_name(f".{last.name}.partial"))
    with pytest.raises(ValueError, match=f"1 of the 3 files of split 'train' are not there, such as {last.name}"):
        EncodedSource(tmp_path, "train")
    with pytest.raises(ValueError, match="has no split 'test' encoded; it has train"):
        EncodedSource(tmp_path, "test")
    (tmp_path / encoded.INFO).write_text("{")
    with pytest.raises(ValueError, match="encoded_info.json: cannot be read"):
        EncodedSource(tmp_path, "train")


def test_a_file_that_breaks_off_gets_no_name(tmp_path):
    def broken():
        yield clip()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encoded.write(tmp_path / "x", broken())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["cut", "holed"])
def test_damage_is_named_with_file_and_record(tmp_path, damage):
    source = folder_of(tmp_path)
    data = bytearray(source.files[1].read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    else:
        data[20_000:60_000] = bytes(40_000)
    source.files[1].write_bytes(data)
    with pytest.raises(ValueError, match=f"{source.files[1].name}: record \\d cannot be read .*damaged or cut off"):
        for i in range(4, 8):
            source[i]
    assert source[9].start == 9


def test_a_tier_that_clips_lack_is_named(tmp_path):
    with pytest.raises(ValueError, match="has no caption of tier 'detailed', only"):
        some(folder_of(tmp_path), captions={"detailed": 1.0})


def test_another_mask_than_that_of_a_first_frame_is_stored(captioned):
    """The first frame's mask is rebuilt, so any other one must be kept."""
    encoder, blank = ClipEncoding(), np.zeros((8, 2, 2, 4, 8))
    first = np.concatenate([np.broadcast_to(first_frame_mask(2, 2, 4), (8, 2, 2, 4, 4)), blank[..., 4:]], axis=-1)
    clip = ClipSource(captioned, "train", 5)[0]
    assert encoder.of(clip, first).mask is None
    kept = encoder.of(clip, blank).mask
    assert kept is not None and kept.shape == (2, 2, 4, 4) and not kept.any()


class ClipEncoding:
    """An encoder whose condition is given."""

    def __init__(self):
        self.encoder = encode.ClipEncoder(experiment(), FrozenParams(), sharding.make_mesh(), 8, "float32")

    def of(self, clip, cond) -> EncodedClip:
        self.encoder._encode = lambda frozen, rows: (
            np.zeros((8, 2, 2, 4, 4), np.float32),
            cond.astype(np.float32),
            None,
            None,
        )
        return self.encoder([clip])[0]


def test_other_settings_do_not_mix_and_devices_divide_the_videos(captioned, tmp_path):
    small = experiment()
    encode.begin(encode.plan(small, captioned, None, "float32", 100), tmp_path)
    with pytest.raises(ValueError, match="begun with other settings \\(dtype, clips\\)"):
        encode.begin(encode.plan(small, captioned, None, "bfloat16", 5), tmp_path)
    with pytest.raises(ValueError, match="--rows=3: must be a multiple of the 8 devices"):
        encode.ClipEncoder(small, FrozenParams(), sharding.make_mesh(), 3, "float32")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data__stride": 2}, "config.data.stride=2: .* were encoded with 1; set it to that"),
        ({"codec__channels": 8}, "config.codec.channels=8: .* were encoded with 4"),
        ({"text__length": 50}, "config.text.length=50: .* were encoded with 40"),
        ({"network__condition_layout": "wan"}, "config.network.condition_layout='wan': .* were encoded with 'repeat'"),
    ],
)
def test_clips_of_another_config_are_rejected(change, message):
    small = experiment()
    info = Info("videos", {}, {}, checks.encoding(small), {}, "float32", 4)
    checks.check_encoded(experiment(optimizer__learning_rate=1.0, data__batch_size=16), info)
    with pytest.raises(ConfigError, match=message):
        checks.check_encoded(experiment(**change), info)
