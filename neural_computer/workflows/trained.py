"""A trained computer: loaded from a workdir or a published folder, run from a notebook, saved to be shared."""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict
from jax.sharding import Mesh
from ml_collections import ConfigDict

from neural_computer import machines, media
from neural_computer.build import build as build_config
from neural_computer.computer import NeuralComputer
from neural_computer.conditioning import to_uint8
from neural_computer.config import ConfigError
from neural_computer.data import events
from neural_computer.experiment import Experiment
from neural_computer.files import replacing, write_whole
from neural_computer.formats import FORMAT
from neural_computer.streaming import StreamingComputer
from neural_computer.types import Actions, Clip, Params, PyTree, State, TokenIds
from neural_computer.workflows import workdir as workdirs

CARD = "README.md"


@dataclass(frozen=True)
class Rollout:
    """Frames of a rollout, and the state after it, from which another one goes on."""

    frames: np.ndarray
    """uint8 (t, h, w, 3)"""
    fps: float
    state: State

    def save(self, path: str | Path) -> Path:
        """Writes the frames as .mp4 or .gif."""
        media.write_video(Path(path), self.frames, self.fps)
        return Path(path)

    def show(self, scale: int = 0) -> "Rollout":
        """Displays the video in a notebook, enlarged `scale` times (0: small screens fourfold); elsewhere nothing."""
        try:
            from IPython.display import Image, display
        except ImportError:
            return self
        display(Image(data=self._gif(scale)))
        return self

    def _gif(self, scale: int = 0) -> bytes:
        scale = scale or (4 if self.frames.shape[1] < 240 else 1)
        return media.gif(media.upscale(self.frames, scale), self.fps)

    def _repr_html_(self) -> str:
        data = base64.b64encode(self._gif()).decode()
        return f'<img src="data:image/gif;base64,{data}">'


@dataclass(frozen=True)
class Trained:
    """A computer with its parameters: what a notebook needs to run it."""

    experiment: Experiment
    params: Params
    step: int
    first_frame: np.ndarray
    """uint8 (h, w, 3): the first frame of a training video"""
    fps: float
    """Frames per second of the training videos"""
    prompt: str = ""
    """The caption of that video"""

    @property
    def computer(self) -> NeuralComputer:
        return self.experiment.computer

    @cached_property
    def _run(self) -> Callable[..., Any]:
        return jax.jit(self.computer.run, static_argnames="chunks")

    def with_steps(self, num_steps: int) -> "Trained":
        """The same with another number of denoising steps."""
        sampler = self.computer.sampler.with_steps(num_steps)
        return replace(self, experiment=self.experiment.replace(sampler=sampler))

    def boot(
        self, frame: np.ndarray | None = None, prompt: str | None = None, negative_prompt: str | None = None
    ) -> State:
        """State of the computer that shows `frame`, uint8 (h, w, 3), by default `first_frame`, and has a prompt, by default
        its own.

        Raises ValueError for a frame of another size.
        """
        frame = self.first_frame if frame is None else np.asarray(frame)
        height, width = self.computer.size
        if frame.shape != (height, width, 3):
            raise ValueError(f"frame: is {frame.shape}; this computer's screen is ({height}, {width}, 3)")
        negative = self.experiment.negative_prompt_ids(negative_prompt)
        return jax.jit(self.computer.boot)(
            self.params,
            frame[None],
            TokenIds(self.experiment.tokenizer([self.prompt if prompt is None else prompt])),
            negative,
        )

    def rollout(
        self,
        frame: np.ndarray | None = None,
        *,
        prompt: str | None = None,
        actions: Actions | None = None,
        keys: str | None = None,
        chunks: int | None = None,
        seed: int = 0,
        state: State | None = None,
        negative_prompt: str | None = None,
    ) -> Rollout:
        """An open-loop rollout of `chunks` chunks from a frame and a prompt, or from a state, under actions or `keys` typed.

        `actions` are those of one video, (t, ...) or (1, t, ...), as `experiment.inputs` makes them of a clip; `keys` are
        typed one a frame, as in "12+7<Return>" (`data.events.typed`). `chunks` is 1 by default, with keys as many as these
        take. Raises ValueError for too few frames of actions.
        """
        if keys is not None:
            clip, enough = self.typing(keys, chunks)
            actions, chunks = self.actions_of(clip), chunks or enough
        chunks = chunks or 1
        state = self.boot(frame, prompt, negative_prompt) if state is None else state
        if actions is not None:
            if np.ndim(actions.mouse) == 2:
                actions = jax.tree.map(lambda x: np.asarray(x)[None], actions)
            actions = self.computer.split(actions, chunks)
        first = state.frame
        state, frames = self._run(self.params, state, actions, jax.random.key(seed), chunks=chunks)
        return Rollout(np.asarray(to_uint8(self.computer.join(first, frames)))[0], self.fps, state)

    def typing(self, keys: str, chunks: int | None = None, every: int = 1) -> tuple[Clip, int]:
        """A still clip in which keys are typed, a key every so many frames, and the chunks that it takes; `chunks`, if given."""
        typed, frames = events.typed(keys, self.fps, every)
        count = 1
        while self.computer.video_frames(count) < frames:
            count += 1
        length = self.computer.video_frames(chunks or count)
        video = np.broadcast_to(self.first_frame, (length, *self.first_frame.shape))
        return Clip("keys", video, self.fps, {"plain": self.prompt}, events=tuple(typed), logged=True), chunks or count

    def actions_of(self, clip: Clip) -> Actions:
        """Actions of a clip's events. Raises ValueError for a computer that takes none, or that streams at another rate."""
        if self.experiment.inputs is None:
            raise ValueError("keys: this computer takes none (config.injection.mode='none'); give a prompt instead")
        if isinstance(self.computer, StreamingComputer) and abs(clip.fps - self.fps) > 0.01:
            raise ValueError(
                f"{clip.id}: has {clip.fps:g} frames a second, this computer {self.fps:g}; resample it, or its events"
            )
        return self.experiment.inputs(clip)

    def save(self, folder: str | Path, note: str = "") -> Path:
        """Writes the computer as safetensors, config and card: a folder that `nc.load` reads and that can be shared."""
        from safetensors.numpy import save_file

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        flat = {path: np.asarray(leaf) for path, leaf in flatten_dict(_tree(self.params), sep="/").items()}
        with replacing(folder / workdirs.WEIGHTS) as partial:
            save_file(flat | {"first_frame": np.ascontiguousarray(self.first_frame)}, partial)
        workdirs.write_config(self.experiment, folder)
        digest = hashlib.sha256((folder / workdirs.WEIGHTS).read_bytes()).hexdigest()
        write_whole(folder / CARD, self._card(note, digest))
        meta = {"format": FORMAT, "step": self.step, "fps": self.fps, "prompt": self.prompt}
        write_whole(folder / workdirs.META, ConfigDict(meta).to_json(indent=2) + "\n")
        return folder

    def _card(self, note: str, digest: str) -> str:
        config, count = self.experiment.config, sum(leaf.size for leaf in jax.tree.leaves(self.params.network))
        return "\n".join(
            [
                "# A neural computer",
                "",
                f"{count:,} parameters, {self.step} updates, screens of {config.data.height}x{config.data.width} at "
                f"{self.fps:g} frames a second, {self.computer.frames} frames a chunk.",
                *(["", note.rstrip()] if note else []),
                "",
                "    import neural_computer as nc",
                "",
                '    nc.load("THIS FOLDER").rollout(prompt="...").show()',
                "",
                f"Config: `{workdirs.CONFIG}`. Weights: `{workdirs.WEIGHTS}`, averaged, frozen encoders included; sha256",
                f"`{digest}`.",
                "",
            ]
        )


def load(
    folder: str | Path, mesh: Mesh | None = None, *, build: Callable[[ConfigDict], Experiment] | None = None
) -> Trained:
    """A trained computer with its averaged parameters, on a mesh if one is given: of a workdir, of a folder that `Trained.save`
    wrote, or of a machine's name (`machines.folder`).

    `build` makes the experiment of its config where parts were replaced in code. Raises CheckpointError, ConfigError.
    """
    return Trained(*workdirs.read(machines.folder(folder), mesh, build))


def _tree(params: Params) -> PyTree:
    """Parameters as nested dicts of the parts that there are."""
    frozen = {name: part for name, part in params.frozen._asdict().items() if part is not None}
    return {"network": params.network, "frozen": frozen}


def untrained(config: ConfigDict, first_frame: np.ndarray, fps: float, mesh: Mesh | None = None) -> Trained:
    """The computer of a config with the weights of config.init, without any training of ours."""
    experiment = build_config(config)
    if not experiment.init:
        raise ConfigError("config.init: is empty; give a converted folder, or train first")
    params = Params(workdirs.init_params(experiment, mesh), workdirs.encoders(experiment, None, mesh))
    return Trained(experiment, params, 0, first_frame, fps)
