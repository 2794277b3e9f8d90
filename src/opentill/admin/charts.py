"""Charts as SVG, drawn on the server. Each stands beside a table of the same figures."""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

WIDTH: Final = 640
HEIGHT: Final = 160
FOOT: Final = 18  # room for the labels below
GAP: Final = 3


def bars(columns: Sequence[Sequence[int]], labels: Sequence[str], *, title: str) -> Markup:
    """Draw stacked columns; every third label is written, so that they do not touch."""
    top = max((sum(column) for column in columns), default=0) or 1
    step = WIDTH / max(1, len(columns))
    drawn = []
    for number, column in enumerate(columns):
        y = HEIGHT
        for kind, value in enumerate(column):
            height = value * (HEIGHT - 8) // top
            y -= height
            if height:
                drawn.append(
                    Markup('<rect class="bar b{}" x="{:.1f}" y="{}" width="{:.1f}" height="{}" rx="2"/>').format(
                        kind, number * step + GAP / 2, y, step - GAP, height
                    )
                )
        if number % 3 == len(columns) % 3:
            drawn.append(
                Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
                    number * step + step / 2, HEIGHT + FOOT - 4, labels[number]
                )
            )
    lines = Markup("").join(
        Markup('<line class="grid" x1="0" x2="{}" y1="{}" y2="{}"/>').format(WIDTH, y, y)
        for y in (HEIGHT, HEIGHT // 2, 8)
    )
    return _svg(lines + Markup("").join(drawn), title)


def share(parts: Sequence[int], *, title: str) -> Markup:
    """Draw one bar cut into shares."""
    whole, x, drawn = sum(parts) or 1, 0.0, []
    for kind, part in enumerate(parts):
        width = part * WIDTH / whole
        drawn.append(
            Markup('<rect class="bar b{}" x="{:.1f}" y="0" width="{:.1f}" height="24"/>').format(
                kind, x, max(0.0, width - 2)
            )
        )
        x += width
    return Markup('<svg class="chart" viewBox="0 0 {} 24" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, title, Markup("").join(drawn)
    )


def _svg(content: Markup, title: str) -> Markup:
    return Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT + FOOT, title, content
    )
