"""Videos in and out: mp4, gif, folders of images; strips of frames side by side. numpy, PyAV and Pillow.

A video is uint8 (t, h, w, 3).
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

Video = UInt8[np.ndarray, "t h w 3"]
RgbImage = UInt8[np.ndarray, "h w 3"]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
"""Of the images in a folder that is a video"""
FOLDER_FPS = 25.0
"""Frames per second of a folder of images, which has none of its own"""
MAX_GIF_FPS = 60
"""Frames per second that a GIF is read with at most"""
COLOURS, LAST_MS = 64, 1000
"""Of a GIF: colours, and milliseconds for which the last frame stays"""


def read_video(path: str | Path) -> tuple[Video, float]:
    """(video, frames per second) of a video file, a GIF, or a folder of images in the order of their names (25 fps).

    A frame of a GIF that is shown for longer than others is repeated. Raises ValueError for a path that holds no video.
    """
    path = Path(path)
    if path.is_dir():
        images = [read_image(p) for p in sorted(path.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES]
        if not images or len({image.shape for image in images}) > 1:
            raise ValueError(f"{path}: must hold images (png, jpg) of one size; it has {len(images)} images")
        return np.stack(images), FOLDER_FPS
    import av

    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            decoded = [
                (frame.to_ndarray(format="rgb24"), frame.time, frame.duration) for frame in container.decode(stream)
            ]
            fps, tick = float(stream.average_rate or stream.guessed_rate or 25), float(stream.time_base or 1)
    except (av.FFmpegError, IndexError, OSError) as error:
        raise ValueError(f"{path}: cannot be read as a video ({error})") from error
    if not decoded:
        raise ValueError(f"{path}: has no frames")
    frames, times, durations = zip(*decoded, strict=True)
    if path.suffix.lower() == ".gif" and len(frames) > 1 and None not in times:
        gaps = np.append(np.diff(times), (durations[-1] or 0) * tick)
        return _evenly(np.stack(frames), gaps)
    return np.stack(frames), fps


def _evenly(frames: Video, gaps: np.ndarray) -> tuple[UInt8[np.ndarray, "n h w 3"], float]:
    """(video, frames per second) of frames shown for `gaps` seconds each: repeated as often as the shortest gap fits."""
    unit = max(gaps[:-1].min(), 1 / MAX_GIF_FPS)
    times = np.maximum(np.round(gaps / unit), 1).astype(int)
    # A GIF has hundredths of a second: the mean of many gaps is nearer to the rate than any one, and a whole number that
    # explains them is the rate.
    span = gaps[:-1].sum()
    rate = float(times[:-1].sum() / span)
    whole = abs(round(rate) - rate) <= 0.01 * rate / span
    return frames.repeat(times, axis=0), float(round(rate)) if whole else rate


def write_video(path: str | Path, video: Video, fps: float) -> None:
    """Writes mp4 (h264, visually lossless), gif, or, where the path has no suffix, a folder of png images."""
    path = Path(path)
    if path.suffix == ".gif":
        path.write_bytes(gif(video, fps))
    elif path.suffix == "":
        path.mkdir(parents=True, exist_ok=True)
        for number, frame in enumerate(video):
            (path / f"{number:05d}.png").write_bytes(png(frame))
    else:
        _encode(path, video, fps)


def _encode(path: Path, video: Video, fps: float) -> None:
    import av

    # yuv420p halves the colour planes: sides must be even.
    video = np.pad(video, ((0, 0), (0, video.shape[1] % 2), (0, video.shape[2] % 2), (0, 0)), mode="edge")
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=Fraction(fps).limit_denominator(1001), options={"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = video.shape[1], video.shape[2], "yuv420p"
        for frame in video:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())


def read_image(path: str | Path) -> RgbImage:
    """The image in a file. Raises ValueError for a file that is no image."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path}: cannot be read as an image ({error})") from error


def png(image: RgbImage, level: int = 6) -> bytes:
    """An image as PNG; `level` is zlib's."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "png", compress_level=level)
    return file.getvalue()


def from_png(data: bytes) -> RgbImage:
    """The image in some PNG bytes."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def gif(video: Video, fps: float) -> bytes:
    """A video as a looping GIF; the last frame stays for a second."""
    from PIL import Image

    first, *rest = (Image.fromarray(frame).quantize(COLOURS, dither=Image.Dither.NONE) for frame in video)
    # In hundredths of a second, a GIF's unit, so rounded that they add up.
    durations = [10 * int(n) for n in np.diff(np.round(100 * np.arange(len(video)) / fps))] + [LAST_MS]
    file = io.BytesIO()
    first.save(file, "gif", save_all=True, append_images=rest, duration=durations, loop=0)
    return file.getvalue()


def upscale(video: UInt8[np.ndarray, "*s h w 3"], factor: int) -> UInt8[np.ndarray, "*s hh ww 3"]:
    """Every pixel enlarged to a square of `factor` pixels a side."""
    return video.repeat(factor, axis=-3).repeat(factor, axis=-2)


def mosaic(frame: RgbImage, block: int) -> np.ndarray:
    """Mean colour, rounded, of every whole block of `block` pixels a side: (rows, columns, 3) ints."""
    rows, columns = (side // block for side in frame.shape[:2])
    whole = frame[: rows * block, : columns * block].reshape(rows, block, columns, block, 3)
    return whole.mean((1, 3)).round().astype(int)


def strip(videos: Mapping[str, Video], every: int = 1, scale: int = 2, gap: int = 4) -> UInt8[np.ndarray, "hh ww 3"]:
    """An image with a row per video, with its name, and a column per `every` frames. Videos have one size."""
    rows = [
        np.concatenate(
            [_named(name, scale * next(iter(videos.values())).shape[1], scale, gap)]
            + [_framed(frame, scale, gap) for frame in video[::every]],
            axis=1,
        )
        for name, video in videos.items()
    ]
    width = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])


def _framed(frame: RgbImage, scale: int, gap: int) -> UInt8[np.ndarray, "hh ww 3"]:
    return np.pad(upscale(frame, scale), ((gap // 2, gap // 2), (gap // 2, gap // 2), (0, 0)), constant_values=90)


def _named(name: str, height: int, scale: int, gap: int) -> RgbImage:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(6.0 * scale + 4)
    box = Image.new("RGB", (12 + 46 * scale, height + gap // 2 * 2), (90, 90, 90))
    draw = ImageDraw.Draw(box)
    lines = "\n".join(name.split())
    draw.multiline_text((6, box.height // 2), lines, font=font, fill=(255, 255, 255), anchor="lm")
    return np.asarray(box)


def letterbox(video: Video, height: int, width: int) -> UInt8[np.ndarray, "t hh ww 3"]:
    """A video scaled to fit, proportions kept, and centred on black frames of height x width."""
    out = np.zeros((len(video), height, width, 3), np.uint8)
    for target, frame in zip(out, letterboxed(video, height, width), strict=True):
        target[:] = frame
    return out


def letterboxed(frames: Iterable[RgbImage], height: int, width: int) -> Iterator[UInt8[np.ndarray, "hh ww 3"]]:
    """Yields frames letterboxed as they come, so that whole they need not fit in memory; equal ones in a row are one array."""
    from PIL import Image

    before, out = None, np.zeros(0, np.uint8)
    for frame in frames:
        # Of a screen, many frames are the one before.
        if before is None or not np.array_equal(frame, before):
            scale = min(height / frame.shape[0], width / frame.shape[1])
            h, w = max(1, round(frame.shape[0] * scale)), max(1, round(frame.shape[1] * scale))
            top, left = (height - h) // 2, (width - w) // 2
            same = (h, w) == frame.shape[:2]
            image = frame if same else Image.fromarray(frame).resize((w, h), Image.Resampling.LANCZOS)
            before, out = frame, np.zeros((height, width, 3), np.uint8)
            out[top : top + h, left : left + w] = np.asarray(image)
        yield out


def resample(video: Video, fps: float, to: float) -> UInt8[np.ndarray, "n h w 3"]:
    """The video at the rate `to`: at every new instant, the frame that was on the screen then."""
    count = max(1, round(len(video) / fps * to))
    return video[np.minimum((np.arange(count) / to * fps + 1e-6).astype(int), len(video) - 1)]
