"""Reading a small XML document with nothing in it that could reach outside or grow: no DTD, no entity of its own."""

from pathlib import Path
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from convatlas.data.detection.finding import check_regular
from convatlas.errors import DataError

_LARGEST = 64 * 2**20  # bytes; a picture with 100,000 objects takes less
_DEEPEST = 32


def load_xml(path: Path, name: str) -> Element:
    """The root element; raises DataError that calls the file `name` and says why it cannot be read.

    Documents with a document type or with entities are refused, whatever they say: annotations need neither, and
    entities can be made to read other files or to fill the memory.
    """
    check_regular(path, name)
    try:
        if path.stat().st_size > _LARGEST:
            raise DataError(
                f"{name}: is larger than {_LARGEST // 2**20} MB, too large for the annotations of a picture"
            )
        return _parse(path.read_bytes(), name)
    except OSError as error:
        raise DataError(f"{name}: cannot be read ({error.strerror or error})") from error


def _parse(document: bytes, name: str) -> Element:
    builder = TreeBuilder()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise DataError(f"{name}: is nested too deep to be annotations")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> NoReturn:
        raise DataError(f"{name}: has a document type (<!DOCTYPE …>) or entities, which are refused; take them out")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.ExternalEntityRefHandler = refuse
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        raise DataError(f"{name}: is not XML (line {error.lineno}: {expat.ErrorString(error.code)})") from error
    except (ValueError, LookupError) as error:  # an encoding that Python does not know
        raise DataError(f"{name}: is not XML ({error})") from error
    return builder.close()
