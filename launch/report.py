"""Renders the page of all findings from their results: docs/findings.md, the README's table, and one HTML page.

    neural-computer report [--input=results] [--size=micro] [--page=docs/findings.md] [--readme=README.md]

Results are those of program reproduce. Ours stand beside the paper's, with intervals over clips and spread over seeds, and with
whether the claimed directions hold; arms that were not run are named, and results of another config or code are marked stale.
The HTML page, INPUT/findings.html, has curves and strips too. The same results give the same bytes.
"""

from importlib import import_module
from pathlib import Path

from neural_computer import files
from neural_computer.launch import errors
from neural_computer.launch.flags import Flags
from neural_computer.launch.reproduce import FINDINGS
from neural_computer.workflows import findings_page
from neural_computer.workflows.findings import SIZES, Finding

FLAGS = Flags()
INPUT = FLAGS.string("input", "results", "The folder of results.")
SIZE = FLAGS.choice("size", "micro", list(SIZES), "Whose results.")
PAGE = FLAGS.string("page", "docs/findings.md", "The page to write.")
README = FLAGS.string("readme", "README.md", "The file whose table of findings is written; empty for none.")


def main(argv: list[str]) -> None:
    del argv
    every = [Finding.of(import_module(f"neural_computer.configs.findings.{name}")) for name in FINDINGS]
    folder, size = Path(INPUT.value), SIZE.value
    if not (folder / size).is_dir():
        raise ValueError(f"--input={folder}: has no results of size {size}; make some with neural-computer reproduce")
    files.write_whole(Path(PAGE.value), findings_page.markdown(every, folder, size))
    if README.value:
        path = Path(README.value)
        files.write_whole(path, findings_page.readme(path.read_text(), every, folder, size))
    findings_page.html(every, folder, size).save(folder / "findings.html")
    print(f"{PAGE.value}\n{folder}/findings.html")


if __name__ == "__main__":
    errors.run(main, FLAGS)
