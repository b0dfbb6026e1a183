"""The words of the site: pages on concepts and questions as Markdown, the glossary and the reading list as TOML.

A page is TOML between lines of `+++`, then CommonMark with tables. Fenced blocks of `python` are run when the site is
built, in order, in one namespace a page, and what they print is shown beneath them. After that the prose is rendered
by Jinja over the namespace: a number that the library can compute is not typed. A link names what it leads to:
`concept:iou`, `network:resnet50`, `question:slug`, `reading:he2016`, `term:stride`.
"""

import dataclasses
import importlib.resources
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Any, Final, TypeVar

from convatlas.errors import ConvatlasError, did_you_mean

GROUPS: Final = ("Convolution", "Architecture", "Training", "Arithmetic", "Detection", "Seeing and using")
# In which order one learns them; what is not named here comes after, by title.
_ORDER: Final = """
convolution padding stride dilation pooling channels output-size one-by-one depthwise-separable grouped transposed
locally-connected cross-correlation im2col layouts receptive-field parameters-and-connections macs-and-flops
activation-functions backpropagation vanishing-gradients initialisation softmax-and-cross-entropy
batch-normalisation local-response-normalisation dropout regularisation augmentation learning-rate-schedules
transfer-learning global-average-pooling inception-modules auxiliary-classifiers residual bottleneck
dense-connections inverted-residual squeeze-and-excitation channel-shuffle compound-scaling architecture-search
attention patches iou nms sliding-window convolutional-windows anchors box-coding grid-cells region-proposals
selective-search roi-pooling spatial-pyramid-pooling feature-pyramids hard-examples average-precision
test-time-crops calibration export-and-quantise
"""
ORDER: Final = tuple(_ORDER.split())
LONGEST_SUMMARY: Final = {"concepts": 160, "questions": 200}  # characters
LINK: Final = re.compile(r"\]\((concept|network|question|reading|term):([^)\s]*)\)")


class ContentError(ConvatlasError):
    """A page, a term or a reading that is not as this module says; the message names its file."""


@dataclass(frozen=True, kw_only=True)
class Concept:
    """A page on one idea. see: slugs of concepts. networks: where to see it. animation: names of presets."""

    slug: str
    file: str  # as messages name it: "concepts/iou.md"
    title: str
    chinese: str
    summary: str
    group: str
    see: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    animation: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()
    body: str = dataclasses.field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Question:
    """An open question of the notes with its answer. summary: the short answer. source: where the notes ask it."""

    slug: str
    file: str
    title: str
    chinese: str
    summary: str
    source: str
    see: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()
    body: str = dataclasses.field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A paper, book or course. about: why one reads it, in a sentence."""

    key: str
    title: str
    authors: str
    year: int
    venue: str
    url: str
    about: str
    group: str


@dataclass(frozen=True, kw_only=True)
class Term:
    """A word in English and Chinese. page: what explains it at length, such as "concept:stride"."""

    english: str
    chinese: str
    meaning: str
    pinyin: str = ""
    page: str = ""

    @property
    def slug(self) -> str:
        """What a link `term:…` names it by."""
        return slugged(self.english)


@dataclass(frozen=True, kw_only=True)
class Content:
    """All words of the site, in the order in which they are read."""

    concepts: tuple[Concept, ...]
    questions: tuple[Question, ...]
    glossary: tuple[Term, ...]
    readings: tuple[Reading, ...]


Page = TypeVar("Page", Concept, Question)


def load_concepts(root: Traversable | None = None) -> tuple[Concept, ...]:
    """By group, then in the order of learning. root: another folder with the same files.

    Raises ContentError naming the file.
    """
    concepts = _pages(Concept, root, "concepts")
    for each in concepts:
        if each.group not in GROUPS:
            raise ContentError(f"{each.file}: group: expected one of {', '.join(GROUPS)}, got {each.group!r}")
    return tuple(sorted(concepts, key=_place_in_order))


def _place_in_order(page: Concept) -> tuple[int, int, str]:
    place = ORDER.index(page.slug) if page.slug in ORDER else len(ORDER)
    return (GROUPS.index(page.group), place, page.title.lower())


def load_questions(root: Traversable | None = None) -> tuple[Question, ...]:
    """By title. Raises ContentError naming the file."""
    return tuple(sorted(_pages(Question, root, "questions"), key=lambda each: each.title.lower()))


def load_glossary(root: Traversable | None = None) -> tuple[Term, ...]:
    """By the English word. Raises ContentError naming the term."""
    terms = _entries(Term, root, "glossary.toml", "term", "english")
    _once("glossary.toml", (each.slug for each in terms))
    return tuple(sorted(terms, key=lambda each: each.english.lower()))


def load_readings(root: Traversable | None = None) -> tuple[Reading, ...]:
    """As the file has them. Raises ContentError naming the reading."""
    readings = _entries(Reading, root, "readings.toml", "reading", "key")
    _once("readings.toml", (each.key for each in readings))
    return readings


def load_content(networks: Iterable[str], animations: Iterable[str], root: Traversable | None = None) -> Content:
    """Everything, with every link checked. networks, animations: the names that there are.

    Raises ContentError that names each file with what is wrong in it.
    """
    content = Content(
        concepts=load_concepts(root),
        questions=load_questions(root),
        glossary=load_glossary(root),
        readings=load_readings(root),
    )
    wrong = list(_dangling(content, set(networks), set(animations)))
    if wrong:
        raise ContentError("\n".join(wrong))
    return content


def slugged(words: str) -> str:
    """`Receptive field` -> `receptive-field`: the anchor of a heading or term."""
    return re.sub(r"[^\w]+", "-", words.lower()).strip("-")


# --- Reading


def _folder(root: Traversable | None) -> Traversable:
    return importlib.resources.files(__name__) if root is None else root


def _pages(kind: type[Page], root: Traversable | None, folder: str) -> list[Page]:
    place = _folder(root) / folder
    if not place.is_dir():
        return []
    files = sorted((file for file in place.iterdir() if file.name.endswith(".md")), key=lambda file: file.name)
    return [_page(kind, file, f"{folder}/{file.name}") for file in files]


def _page(kind: type[Page], file: Traversable, name: str) -> Page:
    parts = file.read_text(encoding="utf-8").split("+++\n", 2)
    if len(parts) != 3 or parts[0].strip():
        raise ContentError(f"{name}: expected TOML between two lines of +++ at its beginning, then the text")
    front = _toml(parts[1], name)
    own = {"slug": file.name.removesuffix(".md"), "file": name, "body": parts[2]}
    for given in front:
        if given in own:
            raise ContentError(f"{name}: unknown field {given!r}. The file's name is the page's")
    page: Page = _made(kind, {**front, **own}, name)
    longest = LONGEST_SUMMARY[name.partition("/")[0]]
    if len(page.summary) > longest:
        raise ContentError(f"{name}: summary: expected at most {longest} characters, got {len(page.summary)}")
    return page


def _entries(kind: type[Any], root: Traversable | None, file: str, table: str, key: str) -> tuple[Any, ...]:
    place = _folder(root) / file
    if not place.is_file():
        return ()
    found = _toml(place.read_text(encoding="utf-8"), file)
    if set(found) - {table}:
        raise ContentError(f"{file}: expected tables [[{table}]] alone, got {', '.join(sorted(set(found) - {table}))}")
    return tuple(_made(kind, each, f"{file}, {each.get(key, 'an entry without ' + key)}") for each in found[table])


def _toml(text: str, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ContentError(f"{name}: {error}") from None


def _made(kind: type[Any], values: Mapping[str, Any], name: str) -> Any:
    """The dataclass from a TOML table: every field of its type, none missing, none unknown."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for given in values:
        if given not in fields:
            raise ContentError(f"{name}: unknown field {given!r}.{did_you_mean(given, fields)}")
    made = {}
    for field in fields.values():
        if field.name not in values:
            if field.default is dataclasses.MISSING:
                raise ContentError(f"{name}: the field {field.name!r} is missing")
            continue
        made[field.name] = _fitting(values[field.name], field, name)
    return kind(**made)


def _fitting(value: object, field: "dataclasses.Field[Any]", name: str) -> object:
    if field.type == tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise ContentError(f"{name}: {field.name}: expected a list of texts, got {value!r}")
        return tuple(value)
    if type(value) is not field.type or (value == "" and field.default is dataclasses.MISSING):
        expected = "a whole number" if field.type is int else "a text"
        raise ContentError(f"{name}: {field.name}: expected {expected}, got {value!r}")
    return value


def _once(file: str, keys: Iterable[str]) -> None:
    for key, times in Counter(keys).items():
        if times > 1:
            raise ContentError(f"{file}: {key!r} is there {times} times")


# --- Checking


def _dangling(content: Content, networks: set[str], animations: set[str]) -> Iterator[str]:
    """A line for each reference that leads nowhere."""
    known: Mapping[str, Sequence[str]] = {
        "concept": [each.slug for each in content.concepts],
        "question": [each.slug for each in content.questions],
        "reading": [each.key for each in content.readings],
        "term": [each.slug for each in content.glossary],
        "network": sorted(networks),
        "animation": sorted(animations),
    }
    for place, kind, key in _references(content):
        if key not in known.get(kind, ()):
            yield f"{place}: there is no {kind} {key!r}.{did_you_mean(key, known.get(kind, ()))}"


def _references(content: Content) -> Iterator[tuple[str, str, str]]:
    """(where, kind, key) of everything that names something else."""
    pages: tuple[Concept | Question, ...] = (*content.concepts, *content.questions)
    for page in pages:
        yield from ((f"{page.file}: see", "concept", key) for key in page.see)
        yield from ((f"{page.file}: reading", "reading", key) for key in page.reading)
        yield from ((page.file, kind, key) for kind, key in LINK.findall(page.body))
        if isinstance(page, Concept):
            yield from ((f"{page.file}: networks", "network", key) for key in page.networks)
            yield from ((f"{page.file}: animation", "animation", key) for key in page.animation)
    for term in content.glossary:
        if term.page:
            kind, _, key = term.page.partition(":")
            yield f"glossary.toml, {term.english}: page", kind, key
