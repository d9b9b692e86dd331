"""Converting published weights, as a user calls it and piece by piece."""

import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import ml_dtypes
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax.sharding import PartitionSpec
from safetensors.numpy import load_file, save_file

from neural_computer import load_pretrained, sharding
from neural_computer.convert import export_diffusers, import_weights, sources
from neural_computer.models import weights
from neural_computer.train.checkpoint import CheckpointError
from tests import checkpoints
from tests.checkpoints import SMALL, WAN_1_3B
from tests.conftest import ROOT, program, wait_until


def convert(source, output, dtype=None, heads=None):
    found, tokenizer = sources.find(source)
    plans = import_weights.plan(found, dtype, heads)
    output.mkdir(exist_ok=True)
    import_weights.write(plans, tokenizer, output)
    return output


def expected(config=SMALL):
    """The parameters that the random checkpoint holds."""
    found = dict(checkpoints.tensors(config))
    fmt, table = weights.detect({key: x.shape for key, x in found.items()})
    return weights.params_from(table, fmt, found.__getitem__)


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A diffusers folder of several shards, with a tokenizer beside the network."""
    folder = tmp_path_factory.mktemp("published")
    checkpoints.write(folder / "transformer", SMALL, shard=2**17)
    assert len(list((folder / "transformer").glob("*.safetensors"))) > 3
    (folder / "tokenizer").mkdir()
    (folder / "tokenizer" / "tokenizer.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def converted(published, tmp_path_factory):
    return convert(published, tmp_path_factory.mktemp("converted"))


def test_parameters_restore_as_they_were(converted):
    module, params = load_pretrained(converted)
    same(params, expected())
    assert {leaf.sharding.device_set == {jax.devices()[0]} for leaf in jax.tree.leaves(params)} == {True}
    assert (module.shape.width, module.shape.heads, module.shape.layers) == (128, 1, 2)
    with ocp.StandardCheckpointer() as reader:
        same(reader.restore((converted / "dit").absolute()), expected())


def test_parameters_restore_onto_a_mesh(converted):
    mesh = sharding.make_mesh({"data": 1, "fsdp": 4, "tensor": 2})
    _, params = load_pretrained(converted, mesh=mesh)
    same(params, expected())
    query = params["blocks"]["block_0"]["self_attn"]["q"]["kernel"]
    assert query.sharding.spec == PartitionSpec(None, "fsdp", "tensor")
    assert {shard.data.shape for shard in query.addressable_shards} == {(2, 32, 64)}


def test_what_was_done_is_written_down(converted, published):
    preset = json.loads((converted / "preset.json").read_text())["dit"]
    assert preset["config"] == SMALL and preset["format"] == "diffusers" and preset["dtype"] == "float32"
    assert preset["parameters"] == sum(leaf.size for leaf in jax.tree.leaves(expected()))
    assert preset["files"] == {
        file.name: file.stat().st_size for file in (published / "transformer").glob("*.safetensors")
    }
    keys = json.loads((converted / "keys.json").read_text())["dit"]
    assert set(keys["used"]) == set(dict(checkpoints.keys(SMALL))) and keys["unused"] == keys["missing"] == []
    assert (converted / "tokenizer" / "tokenizer.json").read_text() == "{}"


@pytest.mark.slow
def test_half_precision_is_kept_or_made(published, tmp_path):
    half = tmp_path / "half.safetensors"
    save_file({key: x.astype(ml_dtypes.bfloat16) for key, x in checkpoints.tensors(SMALL)}, half)
    kept, made, widened = (
        load_pretrained(convert(source, tmp_path / name, dtype))[1]
        for source, name, dtype in ((half, "a", None), (published, "b", "bfloat16"), (half, "c", "float32"))
    )
    assert {leaf.dtype for leaf in jax.tree.leaves((kept, made))} == {np.dtype(ml_dtypes.bfloat16)}
    same(kept, made)
    same(jax.tree.map(lambda x: x.astype(np.float32), kept), widened)


def test_there_and_back_in_shards_is_bitwise(converted, tmp_path, monkeypatch):
    monkeypatch.setattr(export_diffusers, "SHARD", 2**19)
    export_diffusers.write(converted, tmp_path, None)
    folder = tmp_path / "transformer"
    index = json.loads((folder / "diffusion_pytorch_model.safetensors.index.json").read_text())
    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) > 2 and {shard.name for shard in shards} == set(index["weight_map"].values())
    assert max(sum(x.nbytes for x in load_file(shard).values()) for shard in shards) <= 2**19
    for key, x in checkpoints.tensors(SMALL):
        assert load_file(folder / index["weight_map"][key])[key].tobytes() == x.tobytes()
    config = json.loads((folder / "config.json").read_text())
    assert (config["num_attention_heads"], config["attention_head_dim"], config["ffn_dim"]) == (1, 128, 96)
    same(load_pretrained(convert(folder, tmp_path / "again"))[1], expected())


def test_another_network_in_its_place_is_rejected(published, converted):
    with pytest.raises(ValueError, match="dit: holds something else; give another --out or delete it"):
        convert(published, converted, "bfloat16")


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def cut(tmp_path):
    file = tmp_path / "dit.safetensors"
    save_file(dict(checkpoints.tensors(SMALL)), file)
    file.write_bytes(file.read_bytes()[:-1000])
    return file


def pointer(tmp_path):
    return write(tmp_path / "dit.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")


def shard_missing(tmp_path):
    checkpoints.write(tmp_path / "shards", SMALL, shard=2**17)
    (tmp_path / "shards" / "diffusion_pytorch_model-00002.safetensors").unlink()
    return tmp_path / "shards"


def shard_alone(tmp_path):
    checkpoints.write(tmp_path / "shards", SMALL, shard=2**17)
    return tmp_path / "shards" / "diffusion_pytorch_model-00001.safetensors"


def misshapen(tmp_path):
    found = dict(checkpoints.tensors(SMALL)) | {"blocks.1.attn2.to_out.0.weight": np.zeros((128, 5), np.float32)}
    save_file(found, tmp_path / "dit.safetensors")
    return tmp_path / "dit.safetensors"


def foreign(tmp_path):
    save_file({"model.layers.0.mlp.weight": np.zeros((4, 4), np.float32)}, tmp_path / "llama.safetensors")
    return tmp_path / "llama.safetensors"


def eight_bits(tmp_path):
    found = dict(checkpoints.tensors(SMALL))
    save_file(found | {"proj_out.weight": found["proj_out.weight"].astype(np.int8)}, tmp_path / "dit.safetensors")
    return tmp_path / "dit.safetensors"


def twice(tmp_path):
    for name in ("high_noise", "low_noise"):
        checkpoints.write(tmp_path / name, SMALL)
    return tmp_path


def overlapping(tmp_path):
    for name in ("a", "b"):
        save_file(dict(checkpoints.tensors(SMALL)), tmp_path / f"{name}.safetensors")
    return tmp_path


def headless(tmp_path):
    save_file(dict(checkpoints.tensors(SMALL | {"width": 48, "heads": 2})), tmp_path / "dit.safetensors")
    return tmp_path / "dit.safetensors"


MISTAKES = [
    (lambda path: path / "none", "none: is not there; --input is a file or a folder of published weights"),
    (lambda path: write(path / "readme.md", b"hello").parent, "holds no weights (.safetensors, .pth, .pt, .bin)"),
    (cut, "dit.safetensors: cannot be read"),
    (pointer, "is cut short or no safetensors file: fetch it again"),
    (shard_missing, "model-00002.safetensors: is missing, diffusion_pytorch_model.safetensors.index.json names it"),
    (shard_alone, "is this one file of several?"),
    (misshapen, "blocks.1.attn2.to_out.0.weight: has shape (128, 5)"),
    (foreign, "llama.safetensors: 1 keys of no supported network"),
    (eight_bits, "proj_out.weight: is I8; this reads float32, float16, bfloat16"),
    (twice, "low_noise: holds a dit, and so does"),
    (overlapping, "a.safetensors and b.safetensors both hold"),
    (headless, "give it (--heads=N)"),
]


@pytest.mark.parametrize("make, message", MISTAKES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_mistake_is_one_line_before_anything_is_written(make, message, tmp_path):
    with pytest.raises(ValueError) as error:
        import_weights.plan(sources.find(make(tmp_path))[0], None, None)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_folder_that_was_not_converted_is_rejected(tmp_path, converted):
    with pytest.raises(CheckpointError, match=r"no preset.json there; convert published weights first"):
        load_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="holds no vae; it holds dit"):
        load_pretrained(converted, "vae")


# The program


@pytest.mark.slow
def test_the_program_is_one_command_and_one_line_for_a_mistake(published, converted, tmp_path):
    ask = ["launch.convert_weights", f"--input={published}", f"--output={tmp_path}/ours"]
    assert "0.5 million parameters, float32" in program(*ask).stdout
    assert "dit: is there already" in program(*ask).stdout
    same(load_pretrained(tmp_path / "ours")[1], expected())
    program("launch.convert_weights", f"--input={tmp_path}/ours", f"--output={tmp_path}/theirs", "--to=diffusers")
    assert (tmp_path / "theirs" / "transformer" / "config.json").exists()
    for mistake in ([f"--input={cut(tmp_path)}"], [f"--input={published}", "--to=diffusers"]):
        done = program("launch.convert_weights", *mistake, f"--output={tmp_path}/x", check=False)
        lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert done.returncode == 1 and len(lines) == 1 and "Traceback" not in done.stderr
        assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_a_killed_conversion_goes_on(tmp_path):
    config = SMALL | {"layers": 20}
    checkpoints.write(tmp_path / "theirs", config)
    command = ["launch.convert_weights", f"--input={tmp_path}/theirs", f"--output={tmp_path}/ours"]
    process = subprocess.Popen([sys.executable, "-m", *command], cwd=ROOT, stderr=subprocess.DEVNULL)
    assert wait_until(lambda: (tmp_path / "ours" / "dit.partial" / "manifest.ocdbt").exists(), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "ours" / "dit").exists(), "it was killed too late for this test"
    with pytest.raises(CheckpointError, match="no preset.json"):
        load_pretrained(tmp_path / "ours")
    program(*command)
    same(load_pretrained(tmp_path / "ours")[1], expected(config))
    assert not (tmp_path / "ours" / "dit.partial").exists()


FORWARD = """
import sys, time, jax, jax.numpy as jnp
from neural_computer import load_pretrained
begin = time.monotonic()
module, params = jax.block_until_ready(load_pretrained(sys.argv[1]))
restored = time.monotonic()
z, text = jnp.ones((1, int(sys.argv[2]), 30, 52, 16)), jnp.ones((1, 512, 4096))
out = jax.jit(module.apply)({"params": params}, z, jnp.full((1, 1), 500.0), text)[0]
assert out.shape == z.shape and jnp.isfinite(out).all() and jnp.abs(out).max() > 0
print(restored - begin, time.monotonic() - restored)
"""


def measured(*command):
    """(what it printed, minutes, peak GiB) of a process of its own. Its rusage would count this process's memory too."""
    begin, peak = time.monotonic(), 0
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=out)
        while process.poll() is None:
            found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
            peak = int(found[1]) if found else peak
            time.sleep(0.02)
        assert process.returncode == 0
        out.seek(0)
        return out.read(), (time.monotonic() - begin) / 60, peak / 2**20


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read peak memory from")
def test_a_network_of_published_sizes_takes_bounded_memory(tmp_path, request):
    """The 1.3B network, converted, restored, and run on 9 frames of 240x416; or two of its thirty blocks, on one frame."""
    full = request.config.getoption("--full")
    size = checkpoints.write(tmp_path / "theirs", WAN_1_3B | {"layers": 30 if full else 2}) / 2**30
    convert = ["-m", "launch.convert_weights", f"--input={tmp_path}/theirs", f"--output={tmp_path}/ours"]
    _, minutes, peak = measured(*convert)
    print(f"{size:.2f} GiB: converted in {minutes:.1f} minutes, peak {peak:.2f} GiB")
    assert 0.1 < peak < 1
    printed, _, peak = measured("-c", FORWARD, str(tmp_path / "ours"), "3" if full else "1")
    restore, forward = (float(seconds) / 60 for seconds in printed.split())
    print(f"restored in {restore:.1f} minutes, run in {forward:.1f} with compilation, peak {peak:.2f} GiB")
    assert peak < (16 if full else 2)
    shutil.rmtree(tmp_path)  # pytest keeps the folders of its last runs
