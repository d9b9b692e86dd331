"""Two folders of videos, matched by clip id: every metric of the paper, on anybody's videos.

    python -m launch.evaluate --generated=DIR --reference=DIR --metrics=psnr,ssim,lpips,fvd,char_acc,exact_line --out=DIR

--actions=DIR holds, by clip id, what was done, ID.events.jsonl, and what stood on a terminal, ID.cells.json (a list of
strings, a frame each): for ssim+15, cursor_acc, psnr_text, char_acc_buffer and their like (`neural_computer.evals.scorer`
lists them all). Writes OUT/metrics.json, clips.csv and report.html. Broken off, the same command goes on.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from absl import flags
from tqdm import tqdm

from neural_computer import report, sharding
from neural_computer.evals import folders as videos
from neural_computer.evals import ocr, results, text
from neural_computer.evals.pairs import Fault, Pair
from neural_computer.evals.results import ClipResult, Journal
from neural_computer.evals.scorer import NEEDS, VIEWS, Scorer
from neural_computer.workflows import lock, metrics

GENERATED = flags.DEFINE_string("generated", None, "The folder of videos to judge.")
REFERENCE = flags.DEFINE_string("reference", None, "The folder of the true videos, of the same names.")
ACTIONS = flags.DEFINE_string("actions", None, "A folder of ID.events.jsonl and ID.cells.json.")
METRICS = flags.DEFINE_list(
    "metrics", [], "Which metrics (psnr, ssim, lpips of two folders); the first ranks the clips."
)
VIEW = flags.DEFINE_enum("view", "paper", list(VIEWS), "paper: 5 s, 3 fps, 256x256; full: every frame as it is.")
READER = flags.DEFINE_enum("reader", "tesseract", ["tesseract", "glyphs"], "What reads; glyphs: our own font, 8x16.")
R3D18 = flags.DEFINE_string("r3d18", None, "torchvision's r3d_18 weights (.safetensors, .npz, .pth), for fvd_r3d18.")
ARROW = flags.DEFINE_float("arrow", 19.0, "Height of the videos' cursor in pixels.", lower_bound=4)
FPS = flags.DEFINE_float("fps", None, "Frames a second, where no video tells it (pictures, arrays).")
MESH = flags.DEFINE_string("mesh", "", "Devices that share the work, as data:8; by default one does it all.")
OUT = flags.DEFINE_string("out", None, "Where the results go.")


def run() -> int:
    """Scores the clips, writes everything down; returns the exit code."""
    out, judge, told = output(), scorer(), settings()
    lacking = [name for name in judge.names if name in NEEDS]
    if lacking and ACTIONS.value is None:
        raise ValueError(f"--metrics: {lacking[0]} needs {NEEDS[lacking[0]]}; give --actions, a folder of them")
    generated, reference = Path(GENERATED.value), Path(REFERENCE.value)
    pairs, alone = videos.matched(generated, reference)
    with lock.held(out):
        clips = [*scored(judge, told, pairs, out), *(ClipResult(fault.clip, None, (fault,)) for fault in alone)]
        if not any(clip.scores for clip in clips):
            raise ValueError(f"none of {len(clips)} clips could be scored ({clips[0].id}: {clips[0].faults[0].what})")
        found = results.write(out, told, clips, judge.names)
        title = f"{generated.name} beside {reference.name}: {sum(clip.scores is not None for clip in clips)} clips"
        pages = results.html_report(title, found, clips, judge.names, lambda clip: shown(read(clip, *pairs[clip])))
        pages.save(out / "report.html")
    show(out, found, clips, judge.names)
    return results.code(clips)


def output() -> Path:
    """Where the results go. Raises ValueError where nobody says."""
    if OUT.value is None:
        raise ValueError("--out: is missing; give the folder that the results go to")
    return Path(OUT.value)


def reader(kind: str, cache: Path | None = None) -> ocr.Reader:
    """What reads frames: Tesseract, in a process a core, or the exact reader of our own font."""
    if kind == "glyphs":
        return text.GlyphReader(colours=True)
    return metrics.tesseract(cache)


def scorer() -> Scorer:
    """The metrics that the flags ask for. Raises ValueError for one that is unknown."""
    mesh = sharding.make_mesh(sharding.sizes_of(MESH.value)) if MESH.value else None
    r3d18 = metrics.r3d18(Path(R3D18.value)) if R3D18.value else None
    read = reader(READER.value, Path(OUT.value) / "read" if OUT.value else None)
    return Scorer(names(), VIEW.value, read, ARROW.value, r3d18, mesh)


def names() -> tuple[str, ...]:
    """The metrics that are asked for."""
    return tuple(METRICS.value) or ("psnr", "ssim", "lpips")


def settings() -> dict[str, Any]:
    """What the figures depend on beside the videos."""
    told = {flag.name: flag.value for flag in (VIEW, READER, ARROW, FPS)} | {"metrics": names()}
    return told | ({"r3d18": videos.stamp([Path(R3D18.value)])} if R3D18.value else {})


def scored(judge: Scorer, told: dict[str, Any], pairs: dict[str, tuple[Path, Path]], out: Path) -> Iterator[ClipResult]:
    """Every pair's scores, from the journal where they are there already."""
    journal = Journal(out / "clips.jsonl")
    known = journal.known()
    keys = {clip: results.key(told, videos.stamp([*paths, *beside(clip)])) for clip, paths in pairs.items()}
    todo = sum(each not in known for each in keys.values())
    with tqdm(total=len(pairs), initial=len(pairs) - todo, desc="judging", unit="clip", dynamic_ncols=True) as bar:
        for clip, paths in pairs.items():
            if keys[clip] not in known:
                known[keys[clip]] = judged(judge, clip, *paths)
                journal.add(keys[clip], known[keys[clip]])
                bar.update()
            yield known[keys[clip]]


def judged(judge: Scorer, clip: str, made: Path, right: Path) -> ClipResult:
    """A clip's scores, or why it has none. Raises RuntimeError where a package is missing."""
    try:
        pair = read(clip, made, right)
        return ClipResult(clip, judge([pair])[0], pair.faults)
    except videos.VideoError as error:
        return ClipResult(clip, None, (Fault(clip, "unreadable", str(error)),))
    except ValueError as error:
        return ClipResult(clip, None, (Fault(clip, "unscored", str(error)),))
    except ModuleNotFoundError as error:
        raise RuntimeError(str(error)) from error


def read(clip: str, made: Path, right: Path) -> Pair:
    """The videos of a clip and what is known of it. Raises VideoError."""
    return videos.pair(clip, made, right, Path(ACTIONS.value) if ACTIONS.value else None, FPS.value)


def beside(clip: str) -> list[Path]:
    """The files that tell what was done in a clip, there or not."""
    return [Path(ACTIONS.value) / f"{clip}{end}" for end in (".events.jsonl", ".cells.json")] if ACTIONS.value else []


def shown(pair: Pair) -> dict[str, Any]:
    return {"generated": pair.made, "reference": pair.right}


def show(out: Path, found: dict[str, results.Figure], clips: list[ClipResult], names: tuple[str, ...]) -> None:
    """The figures and whatever was wrong, on the terminal."""
    print(report.plain(results.table(found)))
    for line in results.warning(found):
        print(f"note  {line}")
    for name in names:
        if name not in found:
            print(f"note  {name}: no clip has it" + (f"; it needs {NEEDS[name]}" if name in NEEDS else ""))
    for clip in clips:
        for fault in clip.faults:
            print(f"{fault.kind}  {clip.id}: {fault.what}; {videos.POLICY[fault.kind]}")
    print(f"{len(clips) - results.left_out(clips)} clips scored, {results.left_out(clips)} left out\n{out}/report.html")
