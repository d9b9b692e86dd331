"""HTML reports in one file: text, tables, curves, images. Every report of the project is written here."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from neural_computer import files, media

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #777; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 3rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; } th { font-weight: 600; }
figure { margin: 1.5rem 0; } figcaption { color: var(--soft); font-size: .9rem; margin-top: .4rem; }
img { max-width: 100%; image-rendering: pixelated; } img.smooth { image-rendering: auto; background: white; }
div.wide { overflow-x: auto; }
"""


class Page:
    """A report: add parts in order, then save. Text is escaped; the page loads nothing from elsewhere."""

    def __init__(self, title: str):
        self.title = title
        self._parts: list[str] = []

    def heading(self, text: str) -> "Page":
        """Adds a section's heading."""
        return self._add(f"<h2>{html.escape(text)}</h2>")

    def text(self, text: str) -> "Page":
        """Adds a paragraph."""
        return self._add(f"<p>{html.escape(text)}</p>")

    def table(self, rows: Sequence[Mapping[str, Any]], caption: str = "") -> "Page":
        """Adds a table; its columns are the keys of all rows, in the order of their first appearance."""
        columns = list(dict.fromkeys(key for row in rows for key in row))
        head = "".join(f"<th>{html.escape(str(c))}</th>" for c in columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(format_cell(row.get(c)))}</td>" for c in columns) + "</tr>"
            for row in rows
        )
        return self._figure(f"<table><tr>{head}</tr>{body}</table>", caption)

    def curve(
        self,
        lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
        caption: str = "",
        xlabel: str = "",
        ylabel: str = "",
        log: bool = False,
    ) -> "Page":
        """Adds a plot of named lines (xs, ys); `log` makes the y axis logarithmic."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 3.2), layout="constrained")
        axes = figure.subplots()
        for name, (xs, ys) in lines.items():
            axes.plot(xs, ys, label=name, linewidth=1.4)
        axes.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        if len(lines) > 1:
            axes.legend(frameon=False)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=150)
        return self._figure(_img("png", file.getvalue(), caption, "smooth"), caption)

    def image(self, image: UInt8[np.ndarray, "h w 3"], caption: str = "") -> "Page":
        """Adds an image."""
        return self._figure(_img("png", media.png(image), caption), caption)

    def gif(self, video: UInt8[np.ndarray, "t h w 3"], fps: float, caption: str = "") -> "Page":
        """Adds a video as a looping GIF."""
        return self._figure(_img("gif", media.gif(video, fps), caption), caption)

    def save(self, path: str | Path) -> None:
        """Writes the page to a file, whole or not at all."""
        title = html.escape(self.title)
        head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
        text = f'<!doctype html><html lang="en"><head>{head}<style>{STYLE}</style></head><body><h1>{title}</h1>\n'
        files.write_whole(Path(path), text + "\n".join(self._parts) + "\n</body></html>\n")

    def _figure(self, inner: str, caption: str) -> "Page":
        below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
        return self._add(f'<figure><div class="wide">{inner}</div>{below}</figure>')

    def _add(self, part: str) -> "Page":
        self._parts.append(part)
        return self


def format_cell(value: Any) -> str:
    """Text of a table cell: a float with three decimals, two from 10 on; "" for None."""
    if value is None:
        return ""
    if isinstance(value, float | np.floating):
        return f"{value:.2f}" if abs(float(value)) >= 10 else f"{value:.3f}"
    return str(value)


def text_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A table for a terminal: aligned columns, the first to the left, the others to the right."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns, *([format_cell(row.get(c)) for c in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    first, *others = widths
    return "\n".join(
        "  ".join([line[0].ljust(first), *(cell.rjust(w) for cell, w in zip(line[1:], others, strict=True))])
        for line in cells
    )


def _img(kind: str, data: bytes, caption: str, style: str = "") -> str:
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return f'<img class="{style}" alt="{html.escape(caption, quote=True)}" src="{source}">'
