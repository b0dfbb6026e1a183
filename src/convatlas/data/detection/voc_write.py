"""Writing PASCAL VOC: `Annotations`, `JPEGImages`, `ImageSets`, and where there are masks their pictures.

Development Kit of VOC 2012, Sections 3 and 6: pixels are counted from 1, and xmax, ymax lie inside. In
`SegmentationObject` the value of a pixel is the number of its object in the XML file, in `SegmentationClass` the number
of its class, both from 1, with 0 for none.
"""

from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convatlas.data.detection.export import Export, decimals, number
from convatlas.files import write_text
from convatlas.types import Sample, Split

_MOST = 254  # objects of a picture, or classes, that its 8-bit masks can number; 255 is VOC's "void"


def write_voc(export: Export) -> None:
    """Write pictures, annotations and lists of the parts; `labels.txt` keeps the classes in their order.

    Crowd regions are left out: VOC has none.
    """
    folder, classes = export.folder, export.objects.classes
    for part in export.parts:
        stems, segmented = [], []
        for index in export.of_part(part):
            stem, sample = export.stems[index], export.sample(index)
            rows = [row for row in range(len(sample)) if not sample.iscrowd[row]]
            masked = holds_masks(sample, len(classes))
            file_name = export.put_picture(index, sample, folder / "JPEGImages")
            document = _document(sample, rows, classes, file_name, export.channels(index), masked)
            write_text(folder / "Annotations" / f"{stem}.xml", document)
            if masked:
                _write_masks(export, stem, sample, rows)
                segmented.append(stem)
            stems.append(stem)
        _write_list(export, "Main", part, stems)
        if segmented:
            _write_list(export, "Segmentation", part, segmented)
    write_text(folder / "labels.txt", "".join(f"{name}\n" for name in classes))


def holds_masks(sample: Sample, classes: int) -> bool:
    """Whether VOC's pictures of masks can hold a sample's: all of its objects but crowds have one, and few enough."""
    masks = [mask for mask, crowd in zip(sample.masks, sample.iscrowd, strict=True) if not crowd]
    return 0 < len(masks) <= _MOST and classes <= _MOST and all(mask is not None for mask in masks)


def _write_list(export: Export, kind: str, part: Split | None, stems: list[str]) -> None:
    if part is not None:
        path = export.folder / "ImageSets" / kind / f"{part}.txt"
        write_text(path, "".join(f"{stem}\n" for stem in stems))


def _document(
    sample: Sample, rows: list[int], classes: tuple[str, ...], file_name: str, depth: int, masked: bool
) -> str:
    root = ElementTree.Element("annotation")
    _add(root, "folder", "JPEGImages")
    _add(root, "filename", file_name)
    size = ElementTree.SubElement(root, "size")
    for name, value in (("width", sample.width), ("height", sample.height), ("depth", depth)):
        _add(size, name, str(value))
    _add(root, "segmented", str(int(masked)))
    for row in rows:
        element = ElementTree.SubElement(root, "object")
        _add(element, "name", classes[int(sample.classes[row])])
        _add(element, "pose", "Unspecified")
        _add(element, "truncated", "0")
        _add(element, "difficult", str(int(sample.difficult[row])))
        box = ElementTree.SubElement(element, "bndbox")
        x1, y1, x2, y2 = decimals(sample.boxes[row])
        for name, side in (("xmin", x1 + 1), ("ymin", y1 + 1), ("xmax", x2), ("ymax", y2)):
            _add(box, name, str(number(side)))
    ElementTree.indent(root, "\t")
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _add(parent: ElementTree.Element, tag: str, text: str) -> None:
    ElementTree.SubElement(parent, tag).text = text


def _write_masks(export: Export, stem: str, sample: Sample, rows: list[int]) -> None:
    by_object = np.zeros((sample.height, sample.width), np.uint8)
    by_class = np.zeros_like(by_object)
    for place, row in enumerate(rows, start=1):
        mask = sample.masks[row]
        assert mask is not None, "asked for where every object has a mask"
        inside = mask.to_mask()
        by_object[inside] = place
        by_class[inside] = int(sample.classes[row]) + 1
    for name, values in (("SegmentationObject", by_object), ("SegmentationClass", by_class)):
        target = export.folder / name
        target.mkdir(parents=True, exist_ok=True)
        _with_palette(values).save(target / f"{stem}.png", "PNG")


def _with_palette(values: NDArray[np.uint8]) -> Image.Image:
    """An indexed picture in VOC's colours: the bits of a number, from the lowest, are dealt to red, green, blue."""
    numbers = np.arange(256)
    palette = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            palette[:, channel] |= ((numbers >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    image = Image.frombytes("P", (values.shape[1], values.shape[0]), np.ascontiguousarray(values).tobytes())
    image.putpalette(palette.tobytes())
    return image
