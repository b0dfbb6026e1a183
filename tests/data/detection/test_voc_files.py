"""PASCAL VOC's XML as its development kit has it, and the same elements as labelImg writes them."""

from pathlib import Path

import pytest

from convatlas.data.detection.source import open_objects, recognise_format
from convatlas.data.detection.voc import list_voc
from convatlas.errors import DataError
from tests.data.detection.files import put_picture, put_text, told

pytestmark = pytest.mark.row("C-10")

# The order and the indentation of VOC2012/Annotations/2007_000027.xml, a person with parts.
VOC = """<annotation>
	<folder>VOC2012</folder>
	<filename>2007_000027.jpg</filename>
	<source>
		<database>The VOC2007 Database</database>
		<annotation>PASCAL VOC2007</annotation>
		<image>flickr</image>
	</source>
	<size>
		<width>100</width>
		<height>80</height>
		<depth>3</depth>
	</size>
	<segmented>0</segmented>
	<object>
		<name>person</name>
		<pose>Unspecified</pose>
		<truncated>0</truncated>
		<difficult>0</difficult>
		<bndbox>
			<xmin>17</xmin>
			<ymin>10</ymin>
			<xmax>34</xmax>
			<ymax>35</ymax>
		</bndbox>
		<part>
			<name>head</name>
			<bndbox>
				<xmin>20</xmin>
				<ymin>11</ymin>
				<xmax>25</xmax>
				<ymax>15</ymax>
			</bndbox>
		</part>
	</object>
	<object>
		<name>dog</name>
		<difficult>1</difficult>
		<bndbox>
			<xmax>100</xmax>
			<xmin>1</xmin>
			<ymax>80</ymax>
			<ymin>1</ymin>
		</bndbox>
	</object>
</annotation>
"""

# labelImg 1.8, `PascalVocWriter`: a path, "Unknown" for the database, edges from 0 with 0 written as 1.
LABELIMG = """<annotation>
	<folder>photos</folder>
	<filename>cat 1.jpg</filename>
	<path>C:\\Users\\me\\photos\\cat 1.jpg</path>
	<source>
		<database>Unknown</database>
	</source>
	<size>
		<width>100</width>
		<height>80</height>
		<depth>3</depth>
	</size>
	<segmented>0</segmented>
	<object>
		<name>cat</name>
		<pose>Unspecified</pose>
		<truncated>1</truncated>
		<difficult>0</difficult>
		<bndbox>
			<xmin>1</xmin>
			<ymin>17</ymin>
			<xmax>40</xmax>
			<ymax>80</ymax>
		</bndbox>
	</object>
</annotation>
"""


def one(tmp_path: Path, document: str) -> list[tuple[str, str]]:
    put_picture(tmp_path / "2007_000027.jpg")
    return told(list_voc(put_text(tmp_path / "a.xml", document)).faults)


def test_the_layout_of_voc_2012(tmp_path: Path) -> None:
    root = tmp_path / "VOC2012"
    for stem in ("2007_000027", "2007_000032", "2007_000033", "2007_000039"):
        put_picture(root / "JPEGImages" / f"{stem}.jpg")
        put_text(root / "Annotations" / f"{stem}.xml", VOC.replace("2007_000027", stem))
    put_text(root / "ImageSets" / "Main" / "train.txt", "2007_000032\n")
    put_text(root / "ImageSets" / "Main" / "val.txt", "2007_000027\n2007_000099\n")
    put_text(root / "ImageSets" / "Main" / "trainval.txt", "2007_000027\n2007_000032\n2007_000039\n2007_000099\n")
    objects = open_objects(root)
    assert (objects.format, objects.classes) == ("voc", ("dog", "person"))
    assert objects.names == tuple(f"JPEGImages/2007_0000{number}.jpg" for number in (32, 27, 39))
    assert objects.splits == ("train", "val", None)
    assert objects.warnings == (
        "a listed picture without annotations; it is left out: ImageSets/Main/val.txt, 2007_000099: is listed, but "
        "there is no annotation of this name",
    )
    sample = objects.truth(0)
    # Pixels 17 .. 34 from 1, both inside, are the edges 16 and 34; a part of a person is no object.
    assert sample.boxes.tolist() == [[16, 9, 34, 35], [0, 0, 100, 80]]
    assert sample.classes.tolist() == [1, 0]
    assert sample.difficult.tolist() == [False, True]


def test_labelimg_s_boxes_are_edges_already(tmp_path: Path) -> None:
    put_picture(tmp_path / "cat 1.jpg")
    put_text(tmp_path / "cat 1.xml", LABELIMG)
    objects = open_objects(tmp_path)
    assert objects.format == "labelimg"
    assert objects.truth(0).boxes.tolist() == [[0, 17, 40, 80]]
    assert open_objects(tmp_path, format="voc").truth(0).boxes.tolist() == [[0, 16, 40, 80]]
    put_picture(tmp_path / "2007_000027.jpg")
    put_text(tmp_path / "2007_000027.xml", VOC)
    both = open_objects(tmp_path)  # each by its own marks
    assert [both.truth(index).boxes[0].tolist() for index in (0, 1)] == [[16, 9, 34, 35], [0, 17, 40, 80]]
    forced = open_objects(tmp_path, format="labelimg")
    assert forced.truth(0).boxes[0].tolist() == [17, 10, 34, 35]


def test_folders_named_as_parts(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        put_picture(tmp_path / part / "2007_000027.jpg")
        put_text(tmp_path / part / "2007_000027.xml", VOC)
    assert recognise_format(tmp_path) == "voc"
    objects = open_objects(tmp_path)
    assert objects.names == ("train/2007_000027.jpg", "valid/2007_000027.jpg")
    assert objects.splits == ("train", "val")


def test_pictures_elsewhere(tmp_path: Path) -> None:
    put_picture(tmp_path / "far" / "2007_000027.png")  # converted since: found by the name of the XML file
    put_text(tmp_path / "xml" / "2007_000027.xml", VOC)
    assert told(list_voc(tmp_path / "xml").faults)[0][0] == "missing picture"
    (picture,) = list_voc(tmp_path / "xml", images=tmp_path / "far").pictures
    assert picture.name == "2007_000027.png"


def test_classes_of_a_file_are_all_there_are(tmp_path: Path) -> None:
    put_text(tmp_path / "labels.txt", "person\ncat\n")
    assert one(tmp_path, VOC) == [
        ("unknown class", "a.xml, 2007_000027.jpg, object 2, name: 'dog' is not among the classes")
    ]
    (picture,) = list_voc(tmp_path / "a.xml").pictures
    assert [each.label for each in picture.objects] == [0]


@pytest.mark.parametrize(
    ("old", "new", "kind", "words"),
    [
        ("<xmax>34</xmax>", "<xmax>101</xmax>", "outside", "object 1, bndbox: x 16 to 101, y 9 to 35 in a picture of"),
        ("<xmin>17</xmin>", "<xmin>-4</xmin>", "outside", "object 1, bndbox: x -5 to 34"),
        ("<xmin>17</xmin>", "<xmin>35</xmin>", "zero area", "object 1, bndbox: x 34 to 34"),
        ("<xmin>17</xmin>", "<xmin>60</xmin>", "reversed", "object 1, bndbox: x 59 to 34"),
        ("<xmin>17</xmin>", "<xmin>nan</xmin>", "malformed", "object 1, bndbox: holds a number that is not finite"),
        ("<xmin>17</xmin>", "<xmin>17px</xmin>", "malformed", "object 1, bndbox/xmin: expected a number, got '17px'"),
        ("<xmin>17</xmin>", "<xmin>1_7</xmin>", "malformed", "object 1, bndbox/xmin: expected a number, got '1_7'"),
        ("<xmin>17</xmin>", "", "malformed", "object 1, bndbox/xmin: is missing"),
        ("<name>person</name>", "<name> </name>", "unknown class", "object 1, name: is missing"),
        ("<difficult>1</difficult>", "<difficult>yes</difficult>", "malformed", "object 2, difficult: expected 0 or 1"),
        ("<width>100</width>", "<width>wide</width>", "bad picture", "size: expected whole numbers of pixels"),
        ("<annotation>\n\t<folder>", "<xml>\n\t<folder>", "bad file", "a.xml: is not XML (line 46: mismatched tag)"),
        ("2007_000027.jpg", "nothing.jpg", "missing picture", "filename: there is no 'nothing.jpg'"),
        ("2007_000027.jpg", "../2007_000027.jpg", "missing picture", "filename: there is no '../2007_000027.jpg'"),
    ],
)
def test_a_fault_names_file_object_and_field(tmp_path: Path, old: str, new: str, kind: str, words: str) -> None:
    (found, said), *others = one(tmp_path, VOC.replace(old, new, 1))
    assert found == kind
    assert [other for other, _ in others if other != "no class"] == []  # of a file that is lost no class is known
    assert words in said
    assert said.startswith("a.xml")


def test_objects_with_other_shapes_than_boxes(tmp_path: Path) -> None:
    assert one(tmp_path, VOC.replace("bndbox", "polygon"))[:2] == [
        ("malformed", f"a.xml, 2007_000027.jpg, object {number}, bndbox: is missing; of VOC the boxes are read")
        for number in (1, 2)
    ]


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE annotation SYSTEM "annotation.dtd">',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
    ],
)
def test_entities_are_refused(tmp_path: Path, head: str) -> None:
    ((kind, said),) = one(tmp_path, head + VOC.replace("person", "&x;", 1))[:1]
    assert kind == "bad file"
    assert said == "a.xml: has a document type (<!DOCTYPE …>) or entities, which are refused; take them out"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("", "is not XML (line 1: no element found)"),
        ("<svg/>", "expected <annotation>, got <svg>"),
        ("<a>" * 40 + "</a>" * 40, "is nested too deep"),
        ('<?xml version="1.0" encoding="klingon"?><annotation/>', "is not XML"),
        ("<annotation>&x;</annotation>", "is not XML (line 1: undefined entity)"),
    ],
)
def test_what_is_no_annotation(tmp_path: Path, document: str, words: str) -> None:
    (kind, said), *_ = one(tmp_path, document)
    assert kind == "bad file"
    assert words in said


def test_all_faults_are_found_in_one_pass(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        put_picture(tmp_path / "JPEGImages" / f"{name}.jpg")
    document = VOC.replace("2007_000027", "a")
    first, second = document.index("\t<object>"), document.rindex("</annotation>")
    put_text(tmp_path / "Annotations" / "a.xml", document[:second] + document[first:second] + document[second:])
    put_text(tmp_path / "Annotations" / "b.xml", document)  # names the picture of a.xml
    put_text(tmp_path / "Annotations" / "c.xml", "<annotation>")
    put_text(tmp_path / "Annotations" / "d.xml", VOC.replace("<xmax>34<", "<xmax>x<"))
    for part in ("train", "val"):
        put_text(tmp_path / "ImageSets" / "Main" / f"{part}.txt", "a\nb\nc\nd\n")
    assert [kind for kind, _ in told(list_voc(tmp_path).faults)] == [
        *["two parts"] * 4,
        "duplicate",
        "duplicate",
        "duplicate id",
        "bad file",
        "missing picture",
        "malformed",
    ]


@pytest.mark.parametrize("source", [".", "Annotations", "Annotations/2007_000027.xml"])
def test_masks_are_passed_over_and_said(tmp_path: Path, source: str) -> None:
    put_picture(tmp_path / "JPEGImages" / "2007_000027.jpg")
    put_text(tmp_path / "Annotations" / "2007_000027.xml", VOC)
    put_picture(tmp_path / "SegmentationObject" / "2007_000027.png")
    ((kind, said),) = told(list_voc(tmp_path / source).faults)
    assert (kind, said) == ("not read", "SegmentationObject: of VOC the boxes are read, not the masks")


def test_nothing_to_list(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no VOC annotations"):
        list_voc(tmp_path)
