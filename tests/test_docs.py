"""The pages for people name what is there: links, files, configs, programs and their flags, Python names."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from neural_computer.config import RENAMED
from neural_computer.configs import base, cligen, vae
from neural_computer.evals import METRICS
from neural_computer.launch.__main__ import PROGRAMS, SCRIPTS, program
from neural_computer.launch.flags import config_module

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")] + sorted(
    (ROOT / "docs").glob("*.md")
)
CONFIGS = [base.get_config(), vae.get_config("tiny"), cligen.get_config("general,tiny")]
FOLDERS = "neural_computer|configs|launch|docs|tests|notebooks"
EVERY_PROGRAM = {"help", "traceback"}
NEWCOMER = """denoise, conditioning, classifier-free guidance, autoregressive, rotary, learning_rate, text_encoder, KV cache,
velocity, world model, redact""".replace("\n", " ").split(", ")
"""Words that somebody who comes from the field looks for"""


def links(text: str) -> list[str]:
    """Targets of a page's links and images that are no addresses."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def anchors(text: str) -> set[str]:
    """Names of a page's headings, as links have them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def files(text: str) -> set[str]:
    """Paths of this repository's files and folders."""
    return set(re.findall(rf"(?<![\w/.\-])((?:{FOLDERS})/[\w./\-]*[\w/])", text))


def commands(text: str) -> Iterator[tuple[str, list[str]]]:
    """(program, its flags) of every command in a page."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        for name, rest in re.findall(r"(?:neural-computer |-m launch\.)([a-z_]+)([^#`|]*)", line):
            yield name, re.findall(r"(?<=\s)--(?:no)?([a-z_0-9]+(?![\w.]))", rest)


def values(text: str) -> set[str]:
    """Paths of config values that flags set."""
    return {path.rstrip(".") for path in re.findall(r"--config\.([a-z_0-9.]+)", text)}


def named_configs(text: str) -> set[str]:
    """Configs that flags name, NAME:FORM."""
    return set(re.findall(r"--config=([a-z_]+:[a-z_0-9,]+)(?![\w,])", text))


def python_names(text: str) -> set[str]:
    """Dotted names that a page's Python imports from this package, or takes of `nc`."""
    names = {f"neural_computer.{name}" for name in re.findall(r"(?<![\w.\-/])nc\.([A-Za-z_]+)", text)}
    for module, imported in re.findall(r"^\s+from (neural_computer[\w.]*) import ([\w, ]+)", text, re.MULTILINE):
        names |= {f"{module}.{name.strip()}" for name in imported.split(",")}
    return names


def has(name: str) -> bool:
    """Is there a module, or an attribute of a module, of this dotted name?"""
    module, _, attribute = name.rpartition(".")
    if hasattr(importlib.import_module(module), attribute):
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # `module` is a file, not a folder of modules
        return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
class TestPage:
    def test_links_resolve(self, page):
        text, broken = page.read_text(), []
        for link in links(text):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
                broken.append(link)
        assert not broken

    def test_files_exist(self, page):
        assert not [path for path in files(page.read_text()) if not (ROOT / path).exists()]

    def test_config_values_exist(self, page):
        known = [config.to_dict() for config in CONFIGS]

        def exists(path: str, config: object) -> bool:
            for name in path.split("."):
                if not isinstance(config, dict) or name not in config:
                    return False
                config = config[name]
            return True

        assert not [path for path in values(page.read_text()) if not any(exists(path, config) for config in known)]

    def test_configs_exist(self, page):
        for name in named_configs(page.read_text()):
            module, _, form = name.partition(":")
            assert config_module(module).get_config(form)

    def test_commands_have_programs_and_flags(self, page):
        wrong = []
        for name, flags in commands(page.read_text()):
            if name in SCRIPTS and not flags:
                continue
            if name not in PROGRAMS:
                wrong.append(name)
                continue
            own = program(name).FLAGS
            known = EVERY_PROGRAM.union(*(set(each.values) for each in (own, *own.parts.values())))
            wrong += [f"{name} --{flag}" for flag in flags if flag not in known]
        assert not wrong

    def test_python_names_exist(self, page):
        assert not [name for name in python_names(page.read_text()) if not has(name)]


def test_the_readme_names_every_page_and_the_tests():
    readme = (ROOT / "README.md").read_text()
    pages = {page.relative_to(ROOT).as_posix() for page in PAGES} - {"README.md"}
    assert pages <= set(links(readme)) and "bash launch/test.sh" in readme


@pytest.mark.parametrize("word", NEWCOMER)
def test_words_of_the_field_are_used(word):
    pages = re.sub(r"\s+", " ", " ".join(page.read_text() for page in PAGES if page.name != "CONTRIBUTING.md"))
    assert re.search(rf"\b{re.escape(word)}", pages, re.IGNORECASE)


def test_every_metric_is_in_the_table():
    table = (ROOT / "docs" / "evaluation.md").read_text()
    assert not [name for name in METRICS if f"`{name}`" not in table]


def test_every_renamed_config_value_is_in_the_table():
    table = (ROOT / "docs" / "training.md").read_text()
    assert not [old for old, new in RENAMED.items() if f"| `config.{old}` | `config.{new}` |" not in table]


def test_wrong_pages_are_noticed():
    """What is read of a page with one of every mistake."""
    page = "See [it](docs/absent.md#here) and `launch/absent.py`.\n\n    neural-computer fly --config=cligen:tiny \\\n"
    page += "        --wings --config.absent.value=1\n    from neural_computer.flow import absent, noise\n    nc.absent(1)\n"
    assert links(page) == ["docs/absent.md#here"]
    assert files(page) == {"docs/absent.md", "launch/absent.py"}
    assert list(commands(page)) == [("fly", ["config", "wings"])]
    assert values(page) == {"absent.value"} and named_configs(page) == {"cligen:tiny"}
    names = python_names(page)
    assert names == {"neural_computer.flow.absent", "neural_computer.flow.noise", "neural_computer.absent"}
    assert [name for name in sorted(names) if has(name)] == ["neural_computer.flow.noise"]
    assert anchors("# A title: of `it`\n") == {"a-title-of-it"}
