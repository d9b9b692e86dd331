"""Work in chunks by several processes. Every chunk becomes one file, so an interrupted run continues where it stopped."""

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any


def make_all(
    items: Sequence[Any],
    make: Callable[[Sequence[Any], Path], None],
    directory: Path,
    *,
    workers: int,
    chunk: int,
    of: str,
    unit: str,
) -> list[Path]:
    """Files of all chunks of items, in order; `make(chunk, path)` writes those that do not exist, whole or not at all.

    A file's name has a hash of its items' text and of `of`, the settings that its content depends on beside the items.
    """
    from tqdm import tqdm

    directory.mkdir(parents=True, exist_ok=True)
    chunks = [items[i : i + chunk] for i in range(0, len(items), chunk)]
    paths = [directory / f"{number:06d}-{_digest(part, of)}.npz" for number, part in enumerate(chunks)]
    missing = [(part, path) for part, path in zip(chunks, paths, strict=True) if not path.exists()]
    done = len(items) - sum(len(part) for part, _ in missing)
    with (
        tqdm(total=len(items), initial=done, unit=unit, dynamic_ncols=True) as bar,
        ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=end_with_parent) as pool,
    ):
        running = {pool.submit(make, part, path): len(part) for part, path in missing}
        try:
            for future in as_completed(running):
                future.result()
                bar.update(running[future])
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return paths


def _digest(items: Sequence[Any], of: str) -> str:
    return hashlib.sha256(json.dumps([of, *map(str, items)]).encode()).hexdigest()[:12]


def end_with_parent() -> None:
    """Initializer of a worker process: it ends within about a second of its parent, even of a parent that was killed."""

    def watch(sentinel: int) -> None:
        wait([sentinel])
        os.kill(os.getpid(), signal.SIGINT)  # the work in progress cleans up
        time.sleep(1)
        os._exit(1)

    if parent := parent_process():
        threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()


def beam_runner(workers: int) -> Any:
    """tfds's settings for Beam's own runner on this machine, with so many processes."""
    import apache_beam as beam
    import tensorflow_datasets as tfds

    options = beam.options.pipeline_options.PipelineOptions(
        direct_num_workers=workers, direct_running_mode="multi_processing" if workers > 1 else "in_memory"
    )
    return tfds.download.DownloadConfig(beam_options=options)
