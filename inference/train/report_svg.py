"""Drawings as SVG that stands inside a page: no style attribute, no outer reference, the same bytes each time.

Text stays text: small, to be searched and copied, in the page's own font. Colours are those of M. Okabe and K. Ito,
which people with a colour vision deficiency can tell apart; every line differs in its dashes or its mark as well.
"""

import html
import io
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

BLUE, ORANGE, INK, GREY, PALE = "#0072b2", "#d55e00", "#1a1a1a", "#595959", "#d9d9d9"
THOUSANDS = StrMethodFormatter("{x:,.0f}")
WIDTH_INCHES = 5.0
"""Of a plot: at this width its text of 10 points can be read on a telephone and in two columns of a wide page."""

_NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A plot of the report."""

    name: str
    """Its id in the page."""
    title: str
    caption: str
    """How to read it."""
    alt: str
    """What it shows, for who cannot see it."""
    svg: str
    wide: bool
    """Whether it takes the whole width of a wide page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What is to be drawn, and how large: inches at 72 units each."""

    name: str
    alt: str
    height_inches: float
    draw: Callable[[Figure], None]
    width_inches: float = WIDTH_INCHES


def plot_of(drawing: Drawing, *, title: str, caption: str) -> Plot:
    """The drawing with its words."""
    wide = drawing.width_inches > WIDTH_INCHES
    caption = caption.replace(" %", "\N{NO-BREAK SPACE}%")
    return Plot(name=drawing.name, title=title, caption=caption, alt=drawing.alt, svg=svg_of(drawing), wide=wide)


def svg_of(drawing: Drawing) -> str:
    """The drawing as an SVG element."""
    with _style():
        figure = Figure(figsize=(drawing.width_inches, drawing.height_inches))
        FigureCanvasSVG(figure)
        drawing.draw(figure)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata=_NO_METADATA)
    return _inline(written.getvalue(), drawing)


def _style() -> AbstractContextManager[None]:
    return rc_context(
        {
            "svg.fonttype": "none",
            "svg.hashsalt": "tollgate",
            "font.family": ["sans-serif"],
            "font.sans-serif": ["DejaVu Sans"],  # only measures the text; it ships with matplotlib
            "font.size": 10.0,
            "text.parse_math": False,  # a dollar sign in a name is a dollar sign
            "text.color": INK,
            "axes.edgecolor": GREY,
            "axes.labelcolor": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.grid": True,
            "grid.color": PALE,
            "grid.linewidth": 0.6,
            "xtick.color": INK,
            "ytick.color": INK,
            "legend.frameon": True,
            "legend.facecolor": "white",
            "legend.edgecolor": "white",
            "legend.framealpha": 0.9,
            "legend.fontsize": 9.0,
            "lines.linewidth": 1.6,
        }
    )


def say(axes: Axes, text: str) -> None:
    """Write why there is nothing to see."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", wrap=True, color=GREY)


def _inline(document: str, drawing: Drawing) -> str:
    body = document[document.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"\s+", " ", body)
    body = re.sub(r' style="([^"]*)"', _attributes, body)
    body = body.replace("xlink:href=", "href=")
    # Several drawings share the page: each keeps its ids apart.
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{drawing.name}-", body)
    width, height = round(72 * drawing.width_inches), round(72 * drawing.height_inches)
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(drawing.alt)}">'
    return re.sub(r"^<svg[^>]*>", lambda _: head, body).strip()


def _attributes(style: re.Match[str]) -> str:
    """The style as attributes, which a strict Content-Security-Policy lets through; the font is the page's."""
    pairs = [pair.split(":", 1) for pair in style[1].split(";") if ":" in pair]
    return "".join(f' {name.strip()}="{value.strip()}"' for name, value in pairs if name.strip() != "font-family")
