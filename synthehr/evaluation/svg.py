"""Figures as inline SVG: real text, no script, no id, no date, colours left to the style sheet.

Matplotlib draws with stand-in colours. `publish` then turns every style into plain
attributes and every colour into a class (``f-real`` fills, ``s-real`` strokes), so that the
page can forbid inline styles and choose light or dark by itself.
"""

from __future__ import annotations

import io
import re
import unicodedata
import warnings
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHADES = 4
"""Steps of colour on either side of no difference in the map of dependence."""

COLOURS = {
    "ink": "#010101",
    "muted": "#020202",
    "grid": "#030303",
    "real": "#040404",
    "synthetic": "#050505",
    "holdout": "#060606",
} | {f"d{step}": f"#0808{step:02x}" for step in range(2 * SHADES + 1)}

_NAMES = {colour: name for name, colour in COLOURS.items()}
_PIXELS = 72
_FONT_SIZE = 10.5
_ACTED_ON = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_KEPT_STYLES = (
    "stroke-width",
    "stroke-dasharray",
    "stroke-linecap",
    "stroke-linejoin",
    "fill-opacity",
    "stroke-opacity",
    "opacity",
    "font-size",
    "text-anchor",
)
_KEPT_ATTRIBUTES = ("d", "x", "y", "transform")


def visible(text: str, longest: int | None = None) -> str:
    """Replace characters that a page would act on instead of showing, and shorten.

    Line breaks and tabs become a visible mark; other control, format (direction overrides
    among them) and unassigned characters become U+FFFD. `longest` counts characters, the
    ellipsis included.
    """
    marks = {"\r": "⏎", "\n": "⏎", "\t": "⇥"}
    shown = "".join(
        marks.get(c) or ("\ufffd" if unicodedata.category(c) in _ACTED_ON else c) for c in text
    )
    if longest is not None and len(shown) > longest:
        return shown[: longest - 1] + "…"
    return shown


def figure(
    wide: float, high: float, frame: tuple[float, float, float, float]
) -> tuple[Figure, Axes]:
    """Make a bare figure of so many CSS pixels; `frame` is left, bottom, right, top."""
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(wide / _PIXELS, high / _PIXELS), dpi=_PIXELS)
    left, bottom, right, top = frame
    axes = drawing.add_axes(
        (left / wide, bottom / high, (wide - left - right) / wide, (high - bottom - top) / high)
    )
    axes.patch.set_visible(False)
    drawing.patch.set_visible(False)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(COLOURS["grid"])
    axes.tick_params(
        color=COLOURS["grid"],
        labelcolor=COLOURS["muted"],
        labelsize=_FONT_SIZE,
        length=3,
        width=0.8,
    )
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_fontsize(_FONT_SIZE)
        label.set_color(COLOURS["muted"])
    axes.set_axisbelow(True)
    return drawing, axes


def publish(drawing: Figure, description: str) -> Markup:
    """Return the figure as an SVG element that holds shapes and escaped text only."""
    import matplotlib

    buffer = io.BytesIO()
    with (
        matplotlib.rc_context({"svg.hashsalt": "synthehr", "svg.fonttype": "none"}),
        warnings.catch_warnings(),
    ):
        # Glyphs that Matplotlib's font lacks are drawn by the browser's fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        # A histogram over a few hours of one day gets fewer ticks than Matplotlib wishes.
        warnings.filterwarnings("ignore", message="AutoDateLocator was unable")
        drawing.savefig(buffer, format="svg", metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    markers = {
        f"#{path.get('id')}": path
        for path in root.iter()
        if _tag(path) == "path" and path.get("id")
    }
    body = "".join(_written(child, markers) for child in root)
    sides = [_rounded(str(side * _PIXELS)) for side in drawing.get_size_inches()]
    return Markup(
        '<svg class="chart" role="img" aria-label="{0}" viewBox="0 0 {1} {2}" '
        'width="{1}" height="{2}">{3}</svg>\n'
    ).format(description, *sides, Markup(body))


def _written(element: ElementTree.Element, markers: dict[str, ElementTree.Element]) -> str:
    tag = _tag(element)
    if tag in ("metadata", "defs", "style"):
        return ""
    if tag == "use":
        place = f"translate({element.get('x', '0')} {element.get('y', '0')})"
        path = markers[element.get("{http://www.w3.org/1999/xlink}href", "")]
        style = path.get("style", "") + ";" + element.get("style", "")
        return f"<path{_attributes({'transform': place, 'd': path.get('d', '')}, style)}/>"
    inner = str(escape(element.text.strip())) if element.text and tag in ("text", "tspan") else ""
    inner += "".join(_written(child, markers) for child in element)
    if tag == "g":
        transform = element.get("transform")
        return f'<g transform="{_rounded(transform)}">{inner}</g>' if transform else inner
    kept = {name: element.get(name, "") for name in _KEPT_ATTRIBUTES if element.get(name)}
    return f"<{tag}{_attributes(kept, element.get('style', ''))}>{inner}</{tag}>"


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _attributes(attributes: dict[str, str], style: str) -> str:
    kept, classes = {name: _rounded(value) for name, value in attributes.items()}, []
    for name, value in re.findall(r"([\w-]+)\s*:\s*([^;]+)", style):
        if name in ("fill", "stroke"):
            if value == "none":
                kept[name] = value
            else:
                classes.append(f"{name[0]}-{_NAMES[value]}")
        elif name == "font":
            size = re.search(r"([\d.]+)px", value)
            kept["font-size"] = size[1] if size else str(_FONT_SIZE)
        elif name in _KEPT_STYLES:
            kept[name] = _rounded(value.removesuffix("px"))
    written = "".join(f' {name}="{escape(value)}"' for name, value in kept.items())
    return written + (f' class="{" ".join(dict.fromkeys(classes))}"' if classes else "")


def _rounded(text: str) -> str:
    """Round every number in the text to hundredths of a pixel, and drop line breaks."""
    rounded = re.sub(
        r"-?\d+\.\d+", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), text
    )
    return re.sub(r"\s+", " ", rounded).strip()
