"""Draws the pictures of docs/pictures that the code can draw: python docs/draw.py [NAME …]. All when none is named."""

import argparse
import tempfile
from pathlib import Path

from PIL import Image

from convatlas.api.animate import animate
from convatlas.api.draw import draw
from convatlas.api.draw_fields import draw_fields
from convatlas.api.field import field
from convatlas.api.plot import plot
from convatlas.data.detection.sheet import draw_some, object_sheet
from convatlas.data.detection.source import open_objects
from convatlas.data.pictures import decode
from convatlas.report.activation_curves import write_activation_curves
from convatlas.report.filtered_photograph import filtered_photograph

PICTURES = Path(__file__).resolve().parent / "pictures"


def activations() -> Path:
    """activations.svg: each activation and its derivative."""
    path = PICTURES / "activations.svg"
    write_activation_curves(path)
    return path


def filters() -> Path:
    """filters.jpg: the cat, and what hand-made filters answer to it."""
    path = PICTURES / "filters.jpg"
    filtered_photograph(decode(PICTURES / "chelsea.jpg")).savefig(path, dpi=100, pil_kwargs={"quality": 85})
    return path


def fields() -> Path:
    """fields.webp: what three layers of VGG-16 see of the cat."""
    path = PICTURES / "fields.webp"
    report = field("vgg16", ["conv3", "conv4", "conv5"], effective=True)
    with tempfile.TemporaryDirectory() as folder:
        drawn = draw_fields(report, Path(folder) / "fields.png", photograph=PICTURES / "chelsea.jpg")
        with Image.open(drawn) as picture:
            picture.convert("RGB").save(path, quality=75, method=6)
    return path


def scenes() -> Path:
    """scenes.webp: eight of the embedded scenes with their boxes, masks and keypoints."""
    path = PICTURES / "scenes.webp"
    sheet = object_sheet(draw_some(open_objects("scenes"), count=8, size=240), size=240)
    sheet.save(path, quality=70, method=6)
    return path


def googlenet() -> Path:
    """googlenet.svg: GoogLeNet's diagram as a slide."""
    path = PICTURES / "googlenet.svg"
    draw("googlenet", slide=True, out=path)
    return path


def efficiency() -> Path:
    """efficiency.svg: what accuracy costs."""
    path = PICTURES / "efficiency.svg"
    plot("efficiency", out=path)
    return path


def stride() -> Path:
    """stride.svg: a convolution with stride 2, step by step."""
    path = PICTURES / "stride.svg"
    animate("stride", out=path)
    return path


DRAWINGS = {
    "activations": activations,
    "efficiency": efficiency,
    "fields": fields,
    "filters": filters,
    "googlenet": googlenet,
    "scenes": scenes,
    "stride": stride,
}


def main() -> None:
    """Draw those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"which: {', '.join(DRAWINGS)}")
    names = parser.parse_args().names
    unknown = set(names) - set(DRAWINGS)
    if unknown:
        parser.error(f"no drawing is called {', '.join(sorted(unknown))}; there is {', '.join(DRAWINGS)}")
    for name in names or DRAWINGS:
        print(f"drew {DRAWINGS[name]().relative_to(PICTURES.parent.parent).as_posix()}")


if __name__ == "__main__":
    main()
