"""The SVG itself: what is seen when, what moves it, what it says, and that nothing is cut off."""

import re
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import pytest
from PIL import Image, ImageFont

from convatlas.errors import UsageError
from convatlas.report.animations import film
from convatlas.report.animations.animation import MOST_STEPS, Animation
from convatlas.report.animations.channels import Channels
from convatlas.report.animations.convolution import Convolution
from convatlas.report.animations.drawing import REST, SIZE, WIDTH, number
from convatlas.report.animations.gif import gif
from convatlas.report.animations.pooling import Pooling
from convatlas.report.animations.presets import PRESETS
from convatlas.report.animations.suppression import Suppression
from convatlas.report.animations.transposed import TransposedConvolution
from convatlas.report.animations.windows import ConvolutionalWindows, SlidingWindow
from tests.report.animations.frames import Seen, animated, keyframes, parse, still, style, visible

pytestmark = pytest.mark.row("I-07")

# The presets, and of each kind the largest that it allows or the one with the longest words.
EXTREMES: dict[str, Animation] = {
    "largest convolution": Convolution(size=7, kernel=5, padding=2),
    "stacked convolution": Convolution(size=10, kernel=5, padding=2, stride=2),
    "spread convolution": Convolution(size=12, kernel=4, dilation=3, stride=1, padding=1),
    "smallest convolution": Convolution(size=2, kernel=1, stride=2),
    "largest pooling": Pooling(size=11, kernel=5, stride=1, mode="average"),
    "smallest pooling": Pooling(size=2, kernel=2),
    "largest transposed": TransposedConvolution(size=6, kernel=3, stride=2, padding=1, output_padding=1),
    "smallest transposed": TransposedConvolution(size=1, kernel=1, stride=1),
    "transposed with gaps": TransposedConvolution(size=2, kernel=1, stride=4, output_padding=3),
    "cut transposed": TransposedConvolution(size=3, kernel=5, stride=3, padding=2),
    "four channels": Channels(channels=4, size=4, kernel=3),
    "large channels": Channels(channels=2, size=8, kernel=2),
    "largest windows": SlidingWindow(size=16, window=7, stride=2),
    "most windows": SlidingWindow(size=16, window=4, stride=2),
    "many windows at once": ConvolutionalWindows(size=24, window=16, kernel=3),
    "one window": ConvolutionalWindows(size=8, window=8, kernel=5),
    "eight boxes": Suppression(boxes=8, threshold=0.0),
    "no box goes": Suppression(boxes=8, threshold=1.0),
}
ALL = {**PRESETS, **EXTREMES}


@pytest.mark.parametrize("name", ALL)
def test_at_each_moment_the_keyframes_show_the_frame_of_its_step(name: str):
    """Each step has its share of the loop, the last one `REST` more, and between two steps nothing else is seen."""
    animation = ALL[name]
    steps = animation.drawing().steps
    svg, shares = animation.svg(), steps + REST
    for step in {0, 1, steps // 2, steps - 2, steps - 1} & set(range(steps)):
        frame = sorted(still(animation.svg(step=step)), key=repr)
        end = step + 1 if step < steps - 1 else shares
        for moment in (step / shares + 1e-5, (step + 0.5) / shares, end / shares - 1e-5):
            assert sorted(animated(svg, moment), key=repr) == frame, (step, moment)


@pytest.mark.parametrize("name", PRESETS)
def test_every_group_is_visible_for_exactly_its_steps(name: str):
    animation = PRESETS[name]
    drawing = animation.drawing()
    rules = keyframes(style(parse(animation.svg())))
    assert len(rules) >= drawing.steps
    starts = set()
    for rule, stops in rules.items():
        first, last = map(int, re.fullmatch(r"animation-r(\d+)-(\d+)", rule).groups())
        starts.add(first)
        assert stops[0][0] == 0
        assert stops[-1][0] == 100
        shown = sum(
            end - begin for (begin, on), (end, _) in zip(stops, [*stops[1:], (100.0, False)], strict=True) if on
        )
        long = last - first + 1 + (REST if last == drawing.steps - 1 else 0)
        assert shown == pytest.approx(100 * long / drawing.shares, abs=2e-4)
        assert visible(stops, (first + 0.5) / drawing.shares)
    assert starts == set(range(drawing.steps))


@pytest.mark.parametrize("name", PRESETS)
def test_it_loops_steps_and_stops(name: str):
    animation = PRESETS[name]
    css = style(parse(animation.svg()))
    seconds = (animation.drawing().steps + REST) * animation.seconds
    assert f"#animation .s{{animation:{seconds:g}s step-end infinite}}" in css
    assert "#animation:hover .s,#animation:focus-within .s{animation-play-state:paused}" in css


@pytest.mark.parametrize("name", PRESETS)
def test_without_motion_one_frame_that_tells_most_stands(name: str):
    """All motion is asked for by one media query; outside of it the groups of the still step alone are visible."""
    animation = PRESETS[name]
    drawing = animation.drawing()
    root = parse(animation.svg())
    css = style(root)
    plain, motion = css.split("@media screen and (prefers-reduced-motion:no-preference){")
    assert not re.search(r"[{;]animation", plain)
    assert "#animation .s,#animation .hint{visibility:hidden}#animation .k{visibility:visible}" in plain
    assert re.match(r"#animation \.s\{animation:", motion)
    for group in root.findall("g"):
        classes = group.get("class", "").split()
        first, last = map(int, re.fullmatch(r"r(\d+)-(\d+)", classes[-1]).groups())
        assert ("k" in classes) == (first <= drawing.still <= last)
    numbers = {each.text for each in still(animation.svg(step=drawing.still)) if each.text is not None}
    assert len(numbers) == max(
        len({each.text for each in still(animation.svg(step=step)) if each.text is not None})
        for step in (0, drawing.still)
    )


@pytest.mark.parametrize("name", ALL)
def test_files_are_small_and_described(name: str):
    animation = ALL[name]
    svg = animation.svg()
    assert len(svg.encode()) <= 60_000
    assert not re.search(r"<script|<foreignObject|href=\"(?!#)|url\(|@import|@font-face", svg)
    root = parse(svg)
    assert (root.get("role"), root.get("tabindex")) == ("img", "0")
    assert root.get("aria-labelledby") == "animation-title animation-desc"
    title, desc = root[0], root[1]
    assert (title.tag, title.get("id"), desc.tag, desc.get("id")) == (
        "title",
        "animation-title",
        "desc",
        "animation-desc",
    )
    assert 10 < len(title.text) < 80
    assert film.HINT in desc.text
    assert len(desc.text) > 100
    assert animation.drawing().steps <= MOST_STEPS


def test_the_hint_is_seen_while_it_moves():
    root = parse(PRESETS["stride"].svg())
    (hint,) = [text for text in root.iter("text") if "hint" in text.get("class", "")]
    assert hint.text == film.HINT
    assert "#animation .hint{visibility:visible}" in style(root).split("no-preference){")[1]
    assert not [each for each in still(PRESETS["stride"].svg(step=0)) if each.text == film.HINT]


@pytest.mark.parametrize("name", ALL)
def test_no_text_leaves_the_picture_its_cell_or_lies_on_another(name: str):
    """Measured with a font wider than those that browsers take."""
    font = ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), SIZE)
    animation = ALL[name]
    drawing = animation.drawing()
    for step in sorted({0, drawing.steps - 1, *range(1, drawing.steps, 1 + drawing.steps // 12)}):
        seen = still(animation.svg(step=step))
        cells = [each for each in seen if each.role in ("cell", "padding", "window")]
        extents = []
        for each in (each for each in seen if each.text is not None):
            width = font.getlength(each.text)
            left = each.x - {"start": 0, "middle": width / 2, "end": width}[each.anchor]
            assert left >= 0, each
            assert left + width <= WIDTH, each
            assert SIZE <= each.y <= drawing.height, each
            extents.append((left, each.y - 10, left + width, each.y + 3, each))
            if each.anchor == "middle":  # a number of a cell, which no line of the grid may cross
                around = [c for c in cells if c.x <= each.x <= c.x + c.width and c.y <= each.y <= c.y + c.height]
                assert around, each
                smallest = min(around, key=lambda cell: cell.width)
                assert width <= smallest.width, each
                assert smallest.y <= each.y - 9, each
        for i, first in enumerate(extents):
            for second in extents[i + 1 :]:
                apart = first[2] <= second[0] or second[2] <= first[0] or first[3] <= second[1] or second[3] <= first[1]
                letters = len(first[4].text) == len(second[4].text) == 1 and first[4].y < 200  # boxes may lie anywhere
                assert apart or letters, (first, second)


@pytest.mark.parametrize("name", ALL)
def test_all_shapes_lie_within_the_picture(name: str):
    animation = ALL[name]
    drawing = animation.drawing()
    for step in sorted({0, drawing.steps - 1, *range(1, drawing.steps, 1 + drawing.steps // 12)}):
        for each in still(animation.svg(step=step)):
            assert 0 <= each.x <= each.x + each.width <= WIDTH
            assert 0 <= each.y <= each.y + each.height <= drawing.height


def test_text_is_at_least_11_pixels_on_a_phone():
    """A page of 390 pixels leaves a picture some 355; the picture is never drawn narrower than that."""
    sizes = [float(size) for size in re.findall(r"font-size:([\d.]+)px", PRESETS["nms"].svg())]
    assert sizes
    assert min(sizes) * 355 / WIDTH >= 11
    assert parse(PRESETS["nms"].svg()).get("viewBox", "").startswith(f"0 0 {WIDTH} ")


def test_inline_names_are_its_own():
    first, second = PRESETS["nms"].inline("one"), PRESETS["nms"].inline("two")
    for name, svg in (("one", first), ("two", second)):
        root = parse(svg)
        ids = [element.get("id") for element in root.iter() if element.get("id")]
        assert all(key == name or key.startswith(f"{name}-") for key in ids)
        assert len(ids) == len(set(ids))
        css = style(root)
        assert all(rule.startswith(f"{name}-") for rule in keyframes(css))
        selectors = re.findall(r"(?:^|[}{,])([#.a-z][^{},@%]*)\{", re.sub(r"@keyframes [\w-]+", "", css))
        assert selectors
        assert all(selector.startswith(f"#{name}") for selector in selectors)
        assert root.get("aria-labelledby") == f"{name}-title {name}-desc"
        assert "--width" in root.get("style", "")
        assert "--ink:" not in css, "the page says what ink looks like"
    assert first.replace("one-", "two-").replace("#one", "#two").replace('"one"', '"two"') == second


@pytest.mark.parametrize("name", ["", "Two", "2x", "a b", 'a"b', "a.b"])
def test_a_name_that_can_be_no_id_is_refused(name: str):
    with pytest.raises(UsageError, match="name: expected a small letter"):
        PRESETS["nms"].inline(name)


@pytest.mark.parametrize("step", [-1, 9, 1.0, True])
def test_a_step_that_there_is_not_is_refused(step):
    with pytest.raises(UsageError, match="step must be a whole number from 0 to 8"):
        PRESETS["stride"].svg(step=step)


def test_colours_are_those_of_the_pages():
    css = (Path(film.__file__).parents[1] / "templates" / "palette.css").read_text(encoding="utf-8")
    light, dark = re.findall(r":root \{(.*?)\}", css, flags=re.DOTALL)
    for own, page in ((film.LIGHT, light), (film.DARK, dark)):
        values = dict(re.findall(r"(--\w+): (#\w+);", page))
        assert dict(part.split(":") for part in own.split(";")) == {
            key: values[key] for key in re.findall(r"--\w+", own)
        }
    svg = PRESETS["nms"].svg()
    assert film.LIGHT in svg.split("@media")[0]
    assert film.DARK in svg.split("@media screen and (prefers-color-scheme:dark)")[1]
    assert "#animation{" in svg
    assert "background:var(--page)" in svg


def test_the_same_bytes_in_another_process():
    code = (
        "import hashlib; from convatlas.report.animations.presets import PRESETS; "
        "all_of = [each.svg() + each.inline('x') + each.svg(step=1) for each in PRESETS.values()]; "
        "print(*[hashlib.sha256(each.encode()).hexdigest() for each in all_of])"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1
    assert len(set(runs.pop().split())) == len(PRESETS)


def test_the_seed_changes_the_numbers():
    for name, animation in PRESETS.items():
        other = type(animation)(**{**animation.parameters(), "seed": animation.seed + 1})
        assert other.svg() != animation.svg(), name


def test_a_gif_has_a_picture_for_each_step(tmp_path: Path):
    animation = Pooling(size=4, seconds=0.5)
    file = tmp_path / "one.gif"
    file.write_bytes(gif(animation.drawing(), seconds=animation.seconds))
    assert file.read_bytes() == gif(animation.drawing(), seconds=animation.seconds)
    with Image.open(file) as picture:
        assert (picture.n_frames, picture.width, picture.info["loop"]) == (4, 2 * WIDTH, 0)
        pictures, durations = [], []
        for step in range(4):
            picture.seek(step)
            durations.append(picture.info["duration"])
            pictures.append(picture.convert("RGB"))
    assert durations == [500, 500, 500, 1500]
    for step, each in enumerate(pictures):  # the window's colour lies where the drawing has it
        seen: list[Seen] = [box for box in still(animation.svg(step=step)) if box.role == "now"]
        colour = each.getpixel((round(2 * (seen[0].x + 5)), round(2 * (seen[0].y + 5))))
        blank = each.getpixel((2 * WIDTH - 3, 3))
        assert colour[2] > colour[0] + 40
        assert blank == (255, 255, 255)


@pytest.mark.parametrize(
    ("value", "text"),
    [(3, "3"), (-1.0, "\N{MINUS SIGN}1"), (0.5, "0.5"), (-0.001, "0"), (4.444, "4.44"), (10, "10"), (100.0, "100")],
)
def test_numbers_are_short(value: float, text: str):
    assert number(value) == text
