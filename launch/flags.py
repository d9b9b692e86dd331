"""The flags of the programs: what several of them share is defined here, once.

Every program has its own `Flags` and declares which it takes:

    FLAGS = Flags()
    WORKDIR = FLAGS.workdir()
    AGAIN = FLAGS.boolean("again", False, "Evaluate even if it was done for this checkpoint.")

So any two programs can be imported together, --help lists a program's flags and no others, and a flag that a program does
not take is an error.
"""

import os
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, NamedTuple

from absl import flags
from ml_collections import ConfigDict, config_flags

from neural_computer import configs

# The modules that declare flags are named in their help, not this one.
flags.disclaim_key_flags()

Holder = flags.FlagHolder


class Size(NamedTuple):
    """A picture's height and width in pixels, written as 480x832."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"

    def side(self, least: int, most: int) -> int:
        """Side of a square screen. Raises ValueError for another shape, or a side that is not from `least` to `most`."""
        if self.height != self.width or not least <= self.height <= most:
            raise ValueError(f"--size={self}: must be a square of {least} to {most} pixels; give --size={least}")
        return self.height


class SizeParser(flags.ArgumentParser):
    """Reads HEIGHTxWIDTH, and one number as a square."""

    def parse(self, argument: Any) -> Size:
        match = re.fullmatch(r"(\d+)(?:x(\d+))?", str(argument))
        if not match:
            raise ValueError("must be HEIGHTxWIDTH, such as 480x832, or one number for a square")
        return Size(int(match[1]), int(match[2] or match[1]))

    def flag_type(self) -> str:
        return "size"


class ConfigParser(flags.ArgumentParser):
    """Reads FILE.py[:FORM], and NAME[:FORM] of a config that comes with the package."""

    def parse(self, argument: str) -> ConfigDict:
        name, _, form = argument.partition(":")
        config = config_module(name).get_config(*([form] if form else []))
        config.lock()
        return config

    def flag_type(self) -> str:
        return "config"


def config_module(name: str) -> Any:
    """Module of a config: a file, else one of the package's, of which guiworld, guiworld.py and configs/guiworld.py are names.

    Raises ValueError for any other name.
    """
    path = Path(name)
    if path.suffix == ".py" and path.is_file():
        spec = spec_from_file_location(f"config_{path.stem}", path)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    known = [info.name for info in iter_modules(configs.__path__) if info.name != "sizes" and not info.ispkg]
    stem = name.removesuffix(".py").removeprefix("configs/").replace("/", ".")
    if stem.split(".")[0] not in (info.name for info in iter_modules(configs.__path__)) or stem == "sizes":
        raise ValueError(f"is no file; the configs of the package are {', '.join(known)}")
    return import_module(f"{configs.__name__}.{stem}")


class Flags:
    """The flags of one program, or of one of its recipes."""

    def __init__(self, **renamed: str):
        """`renamed` maps an old flag to what the error says in its place: log="--out"."""
        self.values, self.renamed = flags.FlagValues(), renamed
        self.values.set_gnu_getopt(True)
        self.required: list[str] = []
        self.aliases: list[str] = []
        self.parts: Mapping[str, Flags] = {}
        self._part: Holder | None = None
        self._sets: dict[str, Callable[[Any], Mapping[str, Any]]] = {}

    # Kinds

    def string(self, name: str, default: str | None, text: str, required: bool = False) -> Holder:
        self.required += [name] * required
        return flags.DEFINE_string(name, default, text, flag_values=self.values)

    def integer(self, name: str, default: int | None, text: str, **options: Any) -> Holder:
        return flags.DEFINE_integer(name, default, text, flag_values=self.values, **options)

    def number(self, name: str, default: float | None, text: str, **options: Any) -> Holder:
        return flags.DEFINE_float(name, default, text, flag_values=self.values, **options)

    def boolean(self, name: str, default: bool, text: str) -> Holder:
        return flags.DEFINE_boolean(name, default, text, flag_values=self.values)

    def choice(self, name: str, default: str | None, values: Sequence[str], text: str, **options: Any) -> Holder:
        return flags.DEFINE_enum(name, default, list(values), text, flag_values=self.values, **options)

    def words(self, name: str, default: Sequence[str] | None, text: str) -> Holder:
        return flags.DEFINE_list(name, default, text, flag_values=self.values)

    def parsed(self, name: str, default: Any, text: str, parser: flags.ArgumentParser, boolean: bool = False) -> Holder:
        flag = flags.Flag(parser, flags.ArgumentSerializer(), name, default, text, boolean=boolean)
        return flags.DEFINE_flag(flag, self.values)

    def part(self, name: str, parts: Mapping[str, "Flags"], default: str | None, text: str) -> Holder:
        """A flag that chooses a part of the program, a recipe or a suite, by name; each has flags of its own."""
        self.parts = parts
        self.required += [name] * (default is None)
        self._part = self.choice(name, default, list(parts), text)
        return self._part

    def alias(self, name: str, original: str) -> None:
        self.aliases.append(name)
        flags.DEFINE_alias(name, original, flag_values=self.values)

    # What several programs share

    def config(self, text: str = "The experiment.", required: bool = False) -> Holder:
        more = " FILE.py[:FORM] or NAME[:FORM]; --config.PATH=VALUE changes one of its values."
        holder = config_flags.DEFINE_config_file("config", None, text + more, flag_values=self.values)
        self.values["config"].parser = ConfigParser()
        self.required += ["config"] * required
        return holder

    def init(self, text: str = "A folder of converted weights to start from", sets: bool = True) -> Holder:
        if sets:
            self._sets["init"] = lambda value: {"init": value}
        return self.string("init", None, f"{text}{'; sets config.init' if sets else ''}.")

    def mesh(self, text: str, default: str | None = None, sets: bool = False) -> Holder:
        if sets:
            self._sets["mesh"] = lambda value: {f"mesh.{axis}": size for axis, size in mesh_sizes(value).items()}
        return self.string("mesh", default, f"{text}, as data:2,fsdp:8{'; sets config.mesh' if sets else ''}.")

    def workdir(self) -> Holder:
        return self.string("workdir", None, "Where checkpoints, metrics and the config go.", required=True)

    def machine(self) -> Holder:
        holder = self.string(
            "machine",
            None,
            "A trained machine: its folder, its name in runs/, or a name of the package's (terminal).",
        )
        self.alias("workdir", "machine")
        return holder

    def out(self, text: str = "Where the results go.", default: str | None = None, required: bool = False) -> Holder:
        holder = self.string("out", default, text, required=required)
        self.alias("output", "out")
        return holder

    def input(self, text: str, required: bool = False) -> Holder:
        return self.string("input", None, text, required=required)

    def seed(self, text: str = "Seed of all that is drawn.") -> Holder:
        return self.integer("seed", 0, text)

    def size(self, default: str, text: str = "Size of the frames in pixels") -> Holder:
        more = f"{text}: HEIGHTxWIDTH, or one number for a square."
        return self.parsed("size", default, more, SizeParser())

    def frames(self, default: int, text: str = "Frames of a clip, 4k + 1.") -> Holder:
        return self.integer("frames", default, text, lower_bound=1)

    def fps(self, default: float | None, text: str) -> Holder:
        return self.number("fps", default, text, lower_bound=0.01)

    def split(self, text: str, several: bool = False) -> Holder:
        return (self.words if several else self.string)("split", None, text)

    def clips(self) -> Holder:
        return self.integer("clips", 1000, "Clips to make.", lower_bound=1)

    def test_share(self) -> Holder:
        text = "Share of names that go to split test."
        return self.number("test_share", 0.1, text, lower_bound=0, upper_bound=1)

    def licence(self) -> Holder:
        return self.string("licence", "unknown", "Licence of what is read; kept with every episode.")

    def workers(self) -> Holder:
        return self.integer("workers", os.cpu_count() or 1, "Processes that work at a time.", lower_bound=1)

    def beam(self) -> Holder:
        return self.boolean("beam", False, "Write with Beam, --workers processes at a time.")

    def unsafe(self) -> Holder:
        return self.boolean("unsafe", False, "Play tapes that you wrote without a sandbox where none works.")

    def dtype(self, default: str | None, text: str) -> Holder:
        return self.choice("dtype", default, ["float32", "bfloat16"], text)

    def sets(self, name: str, path: str) -> None:
        """Makes the flag `name` another way to say --config.`path`."""
        self._sets[name] = lambda value: {path: value}

    # What the command line says

    def chosen(self) -> list["Flags"]:
        """The flags of the part that was chosen, if the program has parts. Raises absl's flags.Error where none was."""
        if self._part is None:
            return []
        if self._part.value is None:
            raise flags.Error(f"--{self._part.name}: is missing; one of {', '.join(self.parts)}")
        return [self.parts[self._part.value]]

    def only(self, use: str, holders: Sequence[Holder]) -> None:
        """Raises ValueError for a flag that was given and is none of those that this use of the program reads."""
        names = {holder.name for holder in holders}
        for name in self.values:
            if self.values[name].present and name not in names and name not in self.aliases:
                raise ValueError(f"--{name}: is not used with {use}; leave it out")

    def check(self) -> None:
        """Raises absl's flags.Error for a required flag that was not given."""
        for name in self.required:
            if self.values[name].value is None:
                raise flags.Error(f"--{name}: is missing ({self.values[name].help.rstrip('.')})")

    def experiment(self) -> ConfigDict:
        """The config, with the values that other flags (--init, --mesh) set in it.

        Raises ValueError where such a flag and --config.PATH are both given and differ.
        """
        flag: Any = self.values["config"]
        config, overrides = flag.value, flag.override_values
        for name, values in self._sets.items():
            setter = self.values[name]
            if not setter.present:
                continue
            for path, value in values(setter.value).items():
                if overrides.get(path, value) != value:
                    raise ValueError(
                        f"--{name}={setter.value} and --config.{path}={overrides[path]}: differ; give one of them"
                    )
                config.update_from_flattened_dict({path: value})
        return config

    @property
    def choosing(self) -> str:
        """The flag that chooses a part."""
        return "" if self._part is None else f"--{self._part.name}"

    def help(self, indent: str = "  ") -> str:
        """A line or more a flag: its name, meaning and default."""
        lines = []
        for name in sorted(self.values):
            flag = self.values[name]
            if name.startswith("config."):
                continue
            note = " Required." if name in self.required else ""
            if flag.default not in (None, "", False):
                note += f" Default: {flag.default_as_str.strip(chr(39))}."
            text = f"--{'[no]' if flag.boolean else ''}{name}  {flag.help}{note}"
            lines += textwrap.wrap(text, 110, initial_indent=indent, subsequent_indent=indent + "    ")
        return "\n".join(lines)


def mesh_sizes(text: str) -> dict[str, int]:
    """Axis sizes of "data:2,fsdp:8". Raises ValueError for anything else."""
    from neural_computer.sharding import sizes_of  # jax, which not every program needs

    return sizes_of(text)
