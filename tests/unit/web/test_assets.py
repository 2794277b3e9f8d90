"""Style sheets and scripts: small, of our own, readable on every background."""

import math
import re
from pathlib import Path

import pytest

from opentill.web.assets import PACKAGE, Assets

ASSETS = Assets()
SCRIPTS = sorted(PACKAGE.glob("*/static/*.js"))
SHEETS = sorted(PACKAGE.glob("*/static/*.css"))
SITE = (PACKAGE / "web" / "static" / "site.css").read_text()
TEXT_ON = [  # foreground, background, least contrast (WCAG 2.2: 4.5 for text, 3 for edges of controls)
    *[
        ("ink", ground, 4.5)
        for ground in ("canvas", "surface", "surface-quiet", "accent-soft", "warn-soft", "bad-soft")
    ],
    *[("ink-soft", ground, 4.5) for ground in ("canvas", "surface", "surface-quiet", "accent-soft")],
    *[("accent", ground, 4.5) for ground in ("canvas", "surface", "surface-quiet", "accent-soft")],
    *[("accent-deep", ground, 4.5) for ground in ("canvas", "surface", "surface-quiet")],
    ("on-accent", "accent", 4.5),
    ("on-accent", "accent-deep", 4.5),
    ("warn", "warn-soft", 4.5),
    ("bad", "bad-soft", 4.5),
    ("bad", "surface", 4.5),
    *[("line-strong", ground, 3) for ground in ("canvas", "surface", "surface-quiet", "warn-soft")],
]


def tokens(scheme: str) -> dict[str, tuple[float, float, float]]:
    """Return the colours of a scheme as lightness, chroma and hue."""
    light, dark = SITE.split("@media (prefers-color-scheme: dark)", 1)
    read = re.compile(r"--([a-z-]+): oklch\(([\d.]+) ([\d.]+) ([\d.]+)\)")

    def colours(css: str) -> dict[str, tuple[float, float, float]]:
        return {name: (float(li), float(c), float(h)) for name, li, c, h in read.findall(css)}

    return colours(light) | (colours(dark) if scheme == "dark" else {})


def luminance(colour: tuple[float, float, float]) -> float:
    """Return the relative luminance of an OKLCH colour, after Ottosson's matrices; it must be within sRGB."""
    lightness, chroma, hue = colour
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    middle = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    red = 4.0767416621 * long - 3.3077115913 * middle + 0.2309699292 * short
    green = -1.2684380046 * long + 2.6097574011 * middle - 0.3413193965 * short
    blue = -0.0041960863 * long - 0.7034186147 * middle + 1.7076147010 * short
    assert all(-0.002 <= part <= 1.002 for part in (red, green, blue)), f"{colour} is not a colour of a screen"
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.bar("U8", part="contrast")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_every_ground_it_is_used_on(scheme: str) -> None:
    colours = tokens(scheme)
    poor = {}
    for text, ground, least in TEXT_ON:
        darker, lighter = sorted((luminance(colours[text]), luminance(colours[ground])))
        contrast = (lighter + 0.05) / (darker + 0.05)
        if contrast < least:
            poor[f"{text} on {ground}"] = round(contrast, 2)
    assert poor == {}


@pytest.mark.parametrize("file", [*SCRIPTS, *SHEETS], ids=lambda file: file.name)
def test_nothing_of_another_origin_is_named(file: Path) -> None:
    assert re.findall(r"(?:https?:)?//[a-z]|url\(|@import|eval\(|innerHTML", file.read_text()) == []


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_a_script_is_one_small_behaviour_that_says_what_it_does(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert lines[0].startswith("// ")
    assert len(lines) <= 60


@pytest.mark.parametrize("file", SHEETS, ids=lambda file: file.name)
def test_every_rule_is_in_a_layer(file: Path) -> None:
    css = re.sub(r"/\*.*?\*/", "", file.read_text(), flags=re.S)
    depth, outside = 0, ""
    for character in css:
        depth += (character == "{") - (character == "}")
        outside += character if depth == 0 else ""
    assert re.sub(r"@layer [\w, ]+;?|[}\s]", "", outside) == ""


def test_an_address_changes_with_the_content(tmp_path: Path) -> None:
    folder = tmp_path / "room" / "static"
    folder.mkdir(parents=True)
    (folder / "a.css").write_text("a {}")
    before = Assets(tmp_path).url("room/a.css")
    (folder / "a.css").write_text("b {}")
    assert Assets(tmp_path).url("room/a.css") != before
    with pytest.raises(KeyError):
        Assets(tmp_path).url("room/b.css")
