"""Videos that some model made of arithmetic problems: does it compute, or draw what it is told?

    python -m launch.evaluate --problems=problems.json --out=DIR                      # writes DIR/prompts.json
    python -m launch.evaluate --problems=problems.json --generated=DIR --out=DIR

The folder holds native/ID.mp4, conditioned/ID.mp4 and wrong/ID.mp4, as many as there are, or ID.mp4 alone, which is native.
Any model can be asked, one behind a door of which only videos come out too. Writes OUT/metrics.json and report.html.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from absl import flags
from tqdm import tqdm

from neural_computer import report
from neural_computer.evals import folders as videos
from neural_computer.evals import ocr, probe, results
from neural_computer.evals.pairs import Fault
from neural_computer.evals.results import ClipResult, Journal
from neural_computer.evals.scorer import Scores
from neural_computer.evals.tasks import ARMS, Arithmetic
from neural_computer.launch.evaluate import folders
from neural_computer.workflows import lock, metrics

PROBLEMS = flags.DEFINE_string("problems", None, "problems.json: a list of {id, expression, answer}.")


def run() -> int:
    """Scores the videos of every arm, writes everything down; returns the exit code."""
    asked, out = probe.problems(Path(PROBLEMS.value)), folders.output()
    if folders.GENERATED.value is None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "prompts.json").write_text(json.dumps(probe.prompts(asked), indent=1) + "\n")
        print(
            f"{out}/prompts.json: {len(asked)} prompts an arm; put the videos into DIR/ARM/ID.mp4, give --generated=DIR"
        )
        return 0
    generated = Path(folders.GENERATED.value)
    places = {arm: generated / arm for arm in ARMS if (generated / arm).is_dir()} or {"native": generated}
    with lock.held(out):
        read = reader(out / "read")
        arms = {arm: list(scored(arm, folder, asked, read, out)) for arm, folder in places.items()}
        clips = [clip for each in arms.values() for clip in each]
        found = probe.figures(arms)
        if not found:
            raise ValueError(f"{generated}: none of {len(clips)} videos could be scored ({clips[0].faults[0].what})")
        told = {"arms": {arm: {n: f._asdict() for n, f in each.items()} for arm, each in found.items()}}
        faults = [fault._asdict() | {"policy": videos.POLICY[fault.kind]} for clip in clips for fault in clip.faults]
        (out / "metrics.json").write_text(json.dumps(told | {"faults": faults}, indent=2) + "\n")
        html_report(found, arms, places).save(out / "report.html")
    print(report.plain(probe.table(found)))
    for fault in faults:
        print(f"{fault['kind']}  {fault['clip']}: {fault['what']}; {fault['policy']}")
    print(f"{out}/report.html")
    return results.code(clips)


def reader(cache: Path) -> ocr.Reader:
    """What reads the videos: as one block of text and twice as large, Tesseract takes fewer lone digits for something else."""
    if folders.READER.value == "glyphs":
        return folders.reader("glyphs")
    return replace(metrics.tesseract(cache), scale=2, segmentation=6)


def scored(arm: str, folder: Path, asked: dict[str, Arithmetic], read: ocr.Reader, out: Path) -> Iterator[ClipResult]:
    """The scores of an arm's videos, from the journal where they are there already."""
    journal = Journal(out / "probe.jsonl")
    known = journal.known()
    for clip, paths in tqdm(videos.videos(folder).items(), desc=arm, unit="video", dynamic_ncols=True):
        name = f"{arm}/{clip}"
        if clip not in asked:
            yield ClipResult(name, None, (Fault(name, "missing", f"is no problem of {PROBLEMS.value}"),))
            continue
        key = results.key(arm, asked[clip].__dict__, folders.READER.value, videos.stamp(paths))
        if key not in known:
            known[key] = judged(name, paths, asked[clip], read)
            journal.add(key, known[key])
        yield known[key]


def judged(name: str, paths: list[Path], task: Arithmetic, read: ocr.Reader) -> ClipResult:
    """A video's scores, or why it has none. Raises RuntimeError where a package is missing."""
    if len(paths) > 1:
        what = f"is there as {' and '.join(path.name for path in paths)}"
        return ClipResult(name, None, (Fault(name, "twice", what),))
    try:
        return ClipResult(name, Scores(probe.score(videos.read(paths[0])[0], task, read), {}))
    except ValueError as error:
        return ClipResult(name, None, (Fault(name, "unreadable", str(error)),))
    except ModuleNotFoundError as error:
        raise RuntimeError(str(error)) from error


def html_report(
    found: dict[str, dict[str, results.Figure]], arms: dict[str, list[ClipResult]], places: dict[str, Path]
) -> report.Page:
    """The page: the table, how to read it, and the videos that are wrong."""
    paper = report.Page("Arithmetic").table(probe.table(found), "low, high: 95% of the bootstraps over videos.")
    paper.text(
        "A model that computes is right in every arm. One that draws what it is told is right where the prompt tells the "
        "answer (conditioned) and obeys a wrong one. Native accuracy is the one that means arithmetic."
    )
    for arm, clips in arms.items():
        paper.heading(f"{arm}: videos that are wrong")
        wrong = [clip for clip in clips if clip.scores and not clip.scores.values["answer"]]
        for clip in wrong[: results.WORST]:
            (path,) = videos.videos(places[arm])[clip.id.removeprefix(f"{arm}/")]
            paper.image(results.strip({"video": videos.read(path)[0]}), clip.id)
    return paper
