"""Neural computers in JAX: a model that is the computer, run by frames and changed only by training.

    run    : (Params, State, Actions, Key) -> (State, Frames)
    update : (TrainState, Batch)           -> (TrainState, Metrics)

The names in `__all__` are the public surface. Rooms (`nc.models`, `nc.train`, ...) and names are imported when first asked for,
so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neural_computer.computer import NeuralComputer as NeuralComputer
    from neural_computer.config import ConfigError as ConfigError
    from neural_computer.convert.pretrained import load_pretrained as load_pretrained
    from neural_computer.data.episodes import EpisodeWriter as EpisodeWriter
    from neural_computer.data.windows import ClipSource as ClipSource
    from neural_computer.errors import Error as Error
    from neural_computer.experiment import Experiment as Experiment
    from neural_computer.machine.client import connect as connect
    from neural_computer.models.weights.merge import merge as merge
    from neural_computer.report import Page as Page
    from neural_computer.train.checkpoint import CheckpointError as CheckpointError
    from neural_computer.train.guards import NonFiniteError as NonFiniteError
    from neural_computer.types import Actions as Actions
    from neural_computer.types import Batch as Batch
    from neural_computer.types import Clip as Clip
    from neural_computer.types import Conditioning as Conditioning
    from neural_computer.types import Encoded as Encoded
    from neural_computer.types import Episode as Episode
    from neural_computer.types import Event as Event
    from neural_computer.types import FrozenParams as FrozenParams
    from neural_computer.types import Output as Output
    from neural_computer.types import Params as Params
    from neural_computer.types import State as State
    from neural_computer.types import TokenIds as TokenIds
    from neural_computer.types import TrainState as TrainState
    from neural_computer.wire import Environment as Environment
    from neural_computer.workflows.trained import Trained as Trained
    from neural_computer.workflows.trained import load as load

__version__ = "0.1.0"

ROOMS = (
    "actions",
    "build",
    "configs",
    "convert",
    "data",
    "evals",
    "flow",
    "machine",
    "media",
    "models",
    "sharding",
    "train",
    "workflows",
)

_ROOM_OF = {
    "Actions": "types",
    "Batch": "types",
    "CheckpointError": "train.checkpoint",
    "Clip": "types",
    "ClipSource": "data.windows",
    "Conditioning": "types",
    "ConfigError": "config",
    "Encoded": "types",
    "Environment": "wire",
    "Episode": "types",
    "EpisodeWriter": "data.episodes",
    "Error": "errors",
    "Event": "types",
    "Experiment": "experiment",
    "FrozenParams": "types",
    "NeuralComputer": "computer",
    "NonFiniteError": "train.guards",
    "Output": "types",
    "Page": "report",
    "Params": "types",
    "State": "types",
    "TokenIds": "types",
    "TrainState": "types",
    "Trained": "workflows.trained",
    "connect": "machine.client",
    "load": "workflows.trained",
    "load_pretrained": "convert.pretrained",
    "merge": "models.weights.merge",
}

__all__ = (*ROOMS, *_ROOM_OF)


def __getattr__(name: str) -> Any:
    """The public name, from its room, or the room. Raises AttributeError for any other."""
    if name in ROOMS:
        return import_module(f"{__name__}.{name}")
    if name not in _ROOM_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(f"{__name__}.{_ROOM_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
