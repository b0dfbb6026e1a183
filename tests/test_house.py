"""Rules that hold of the tree as a whole: sizes, start-up, what may not be committed, and a README that works."""

import ast
import importlib.util
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import convatlas

ROOT = Path(__file__).resolve().parent.parent
SLOW_TO_IMPORT = {
    "torch",
    "torchvision",
    "accelerate",
    "matplotlib",
    "pandas",
    "sklearn",
    "scipy",
    "onnx",
    "onnxruntime",
}


def committed() -> list[Path]:
    """The files that are in the repository, or would be with the next commit; in an unpacked sdist, all files."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return sorted({path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()})
    return sorted(path for path in ROOT.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def texts() -> Iterator[tuple[str, str]]:
    for path in committed():
        try:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or an archive


# --- Files


def test_no_source_file_holds_two_ideas() -> None:
    lines = {name: text.count("\n") for name, text in texts() if name.startswith("src/") and name.endswith(".py")}
    assert lines
    assert {name: count for name, count in lines.items() if count > 400} == {}


def test_nothing_committed_names_a_machine_or_a_registry() -> None:
    registries = ("pypi org", "pythonhosted org", "registry npmjs", "deb debian org")
    hosts = "|".join(name.replace(" ", r"\.") for name in registries)
    places = r"(?<![\w.$}])/(?:" + "work|root|home/\\w+|Users/\\w+" + r")/\w"
    forbidden = re.compile(f"{hosts}|{places}")
    assert [(name, hit[0]) for name, text in texts() if (hit := forbidden.search(text))] == []


def test_no_lock_file_and_nothing_large_is_committed() -> None:
    files = committed()
    assert [path.name for path in files if path.suffix == ".lock" or path.name.endswith("-lock.json")] == []
    assert [path.name for path in files if path.stat().st_size > 1_500_000] == []


def test_links_between_pages_lead_somewhere() -> None:
    broken = [
        (name, target)
        for name, text in texts()
        if name.endswith(".md")
        for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text)
        # The atlas's own links ("concept:iou") are resolved, and tested, where the site is built.
        if not re.match(r"[a-z]+:", target) and not (ROOT / name).parent.joinpath(target).exists()
    ]
    assert broken == []


# --- Packaging


def test_every_dependency_has_a_tested_version_and_no_upper_cap() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    wanted = [each for each in wanted if not each.startswith("convatlas[")]
    pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    names = {each: re.split(r"[<>=!~ ;\[]", each)[0] for each in wanted}
    assert [each for each, name in names.items() if name not in pinned] == []
    assert [each for each in wanted if "<" in each or "==" in each or "~" in each] == []


def test_the_package_and_its_metadata_agree_on_the_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == convatlas.__version__


# --- Tests


def test_mission_rows_are_well_formed() -> None:
    marks = [
        (path.name, argument)
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.row"
        for argument in node.args
    ]
    wrong = [
        (name, ast.unparse(argument))
        for name, argument in marks
        if not (isinstance(argument, ast.Constant) and re.fullmatch(r"[A-Z]-\d{2}", str(argument.value)))
    ]
    assert marks
    assert wrong == []


# --- Start-up: a verb that needs no network imports no torch

RUN_VERB = """
import json, sys
from convatlas.cli import main
code = 0
try:
    main(json.loads(sys.argv[1]))
except SystemExit as end:
    code = end.code or 0
sys.stderr.write("\\n@loaded " + json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of forty different little pictures each."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for index, label in itertools.product(range(40), ("dark", "light")):
        (folder / label).mkdir(exist_ok=True)
        pixels = random.integers(0, 120, (12, 12, 3), dtype=np.uint8) + (0 if label == "dark" else 120)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / label / f"{index}.png")
    return folder


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture with a box, in YOLO's text."""
    folder = tmp_path_factory.mktemp("objects")
    Image.new("RGB", (40, 30), "navy").save(folder / "1.png")
    (folder / "1.txt").write_text("0 0.5 0.5 0.25 0.5\n", encoding="utf-8")
    (folder / "classes.txt").write_text("cat\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["train", "--help"],
        ["predict", "--help"],
        ["models"],
        ["models", "lenet*", "--json"],
        ["costs"],
        ["costs", "bottleneck", "--json"],
        ["runs"],
        ["weights", "list"],
        ["data", "check", "PICTURES"],
        ["data", "check", "OBJECTS"],
        ["data", "convert", "OBJECTS", "--to", "coco", "--out", "converted"],
        ["data", "view", "OBJECTS", "--out", "sheet.png"],
        ["data", "view", "OBJECTS", "--out", "page.html"],
        ["data", "view", "scenes", "--out", "scenes.png", "--count", "2"],
        ["data", "samples", "digits", "--out", "digits", "--count", "3", "--split", "test"],
    ],
    ids=" ".join,
)
def test_light_verbs_import_nothing_slow(arguments: list[str], pictures: Path, objects: Path, tmp_path: Path) -> None:
    arguments = [{"PICTURES": str(pictures), "OBJECTS": str(objects)}.get(word, word) for word in arguments]
    command = [sys.executable, "-c", RUN_VERB, json.dumps(arguments)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    said, mark, loaded_json = run.stderr.rpartition("@loaded")
    assert mark, run.stderr
    code, loaded = json.loads(loaded_json)
    assert code == 0, run.stdout + said
    assert SLOW_TO_IMPORT.intersection(loaded) == set()


# --- The README: what it shows is run as written, in order, in one folder

README = ROOT / "README.md"
SHELL = {"bash", "console", "sh"}
COVERED_BY_CI = ("make ", "git ", "cd ", "pip ", "python -m pip ")  # the Makefile itself and .ci/run


def readme_steps() -> list[tuple[str, str]]:
    """("bash", one command) and ("python", one script), as they follow each other."""
    steps: list[tuple[str, str]] = []
    text = README.read_text(encoding="utf-8")
    for language, code in re.findall(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if language == "python":
            steps.append((language, code))
        if language in SHELL:
            lines = code.replace("\\\n", " ").splitlines()
            if language == "console":
                lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
            steps += [("bash", line.strip()) for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return steps


def test_readme_shows_the_two_commands() -> None:
    shown = [step for language, step in readme_steps() if language == "bash"]
    assert "make demo" in shown
    assert "make test" in shown


@pytest.mark.every_variant
def test_readme_commands_work_as_written(tmp_path: Path) -> None:
    """In a folder with `photos/` (three classes of regions of packaged photographs), `cat.jpg` and docs/pictures."""
    regions_of_photographs(tmp_path)
    shutil.copytree(ROOT / "docs" / "pictures", tmp_path / "docs" / "pictures")
    steps = [step for step in readme_steps() if not (step[0] == "bash" and f"{step[1]} ".startswith(COVERED_BY_CI))]
    assert steps, "README.md shows no command to run"
    # `convatlas` stands beside the interpreter.
    environment = os.environ | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "CONVATLAS_CACHE": str(tmp_path / "cache"),
        "CONVATLAS_OFFLINE": "1",  # no command downloads anything without being asked
    }
    for language, code in steps:
        if language == "python":
            (tmp_path / "readme.py").write_text(code, encoding="utf-8")
        command = [sys.executable, "readme.py"] if language == "python" else shlex.split(code, comments=True)
        run = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=900
        )
        assert run.returncode == 0, f"{code}\n{run.stdout[-2000:]}\n{run.stderr[-4000:]}"


def regions_of_photographs(folder: Path) -> None:
    package = importlib.util.find_spec("skimage")
    assert package is not None
    assert package.origin is not None
    packaged = Path(package.origin).parent / "data"
    random = np.random.default_rng(0)
    for label, file in {"astronaut": "astronaut.png", "cat": "chelsea.png", "coffee": "coffee.png"}.items():
        photograph = Image.open(packaged / file).convert("RGB")
        (folder / "photos" / label).mkdir(parents=True)
        for index in range(40):
            left, top = random.integers(0, np.array(photograph.size) - 128)
            region = photograph.crop((left, top, left + 128, top + 128))
            region.save(folder / "photos" / label / f"{index:02}.jpg")
    Image.open(packaged / "chelsea.png").convert("RGB").save(folder / "cat.jpg")
