"""`convatlas atlas`: what it says, what it refuses, and that nothing is left where it fails."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from convatlas.api import atlas as api
from convatlas.cli import main
from convatlas.report.atlas.content import Content, ContentError
from tests.cli.terminal import fake_terminal

pytestmark = pytest.mark.row("I-06")


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["atlas", *map(str, arguments)])
    code = ended.value.code
    return code if isinstance(code, int) else 0


@pytest.fixture
def few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A site without concepts, questions and charts, for what does not depend on them: a second instead of ten."""
    monkeypatch.setattr(api, "SINGLE", ("index.html", "about.html"))
    nothing = Content(concepts=(), questions=(), glossary=(), readings=())
    monkeypatch.setattr(api, "load_content", lambda *_: nothing)


@pytest.mark.usefixtures("few_words")
def test_it_says_what_it_has_written_and_is_quiet_otherwise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--out", tmp_path / "new" / "site", "--networks", "lenet5, LeNet5-modern", "--workers", "1") == 0
    out, err = capsys.readouterr()
    assert err == ""
    said, where = out.splitlines()
    assert said.startswith("6 pages, ")  # two networks, two files of code, the index and what it is about
    assert said.endswith(": 2 networks, 0 concepts, 0 questions")
    assert where == f"open {tmp_path / 'new' / 'site' / 'index.html'}"
    assert (tmp_path / "new" / "site" / "networks" / "lenet5_modern.html").is_file()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["site"]


@pytest.mark.usefixtures("few_words")
def test_json_is_the_only_thing_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--out", tmp_path / "site", "--networks", "lenet5", "--workers", "1", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    files = [path for path in (tmp_path / "site").rglob("*") if path.is_file()]
    assert report["path"] == str(tmp_path / "site")
    assert report["pages"] == len([path for path in files if path.suffix == ".html"])
    assert report["bytes"] == sum(path.stat().st_size for path in files)
    assert (tmp_path / "site" / report["largest"][0]).is_file()


@pytest.mark.usefixtures("few_words")
def test_a_bar_is_shown_to_a_person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = fake_terminal(monkeypatch, "stderr", 100)
    assert run("--out", tmp_path / "site", "--networks", "lenet5", "--workers", "1") == 0
    assert "4/4" in terminal.getvalue()
    assert "about.html" in terminal.getvalue()


@pytest.mark.usefixtures("few_words")
def test_an_earlier_atlas_is_replaced_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site = tmp_path / "site"
    site.mkdir()
    assert run("--out", site, "--networks", "lenet5", "--workers", "1") == 0
    (site / "networks" / "left.html").write_text("from before", encoding="utf-8")
    assert run("--out", site, "--networks", "lenet5_modern", "--workers", "1") == 0
    assert [path.name for path in (site / "networks").iterdir()] == ["lenet5_modern.html"]
    for name, text in {"photos": "a.jpg", "other": "atlas.json"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / text).write_text("{}", encoding="utf-8")
        assert run("--out", tmp_path / name) == 2
        assert f"{tmp_path / name} holds something else than an atlas" in capsys.readouterr().err
        assert (tmp_path / name / text).read_text(encoding="utf-8") == "{}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--networks", "lenet5,resnet51"), "unknown network 'resnet51'. Did you mean \"resnet"),
        (("--networks", ","), "networks: expected at least one name"),
        (("--workers", "0"), "greater than or equal to 1"),
    ],
)
def test_wrong_use_is_told_and_nothing_is_written(
    arguments: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--out", tmp_path / "site", *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in " ".join(err.replace("│", " ").split())
    assert list(tmp_path.iterdir()) == []


def test_a_file_or_the_folder_one_stands_in_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert run("--out", tmp_path / "file") == 2
    assert "is a file; name a folder" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert run("--out", ".") == 2
    assert "name a folder in it" in capsys.readouterr().err
    assert (tmp_path / "file").read_text(encoding="utf-8") == "x"


@pytest.mark.usefixtures("few_words")
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_page_that_fails_leaves_the_earlier_atlas_as_it_was(
    workers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site = tmp_path / "site"
    assert run("--out", site, "--networks", "lenet5", "--workers", "1") == 0
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file()}
    concepts = tmp_path / "words" / "concepts"
    concepts.mkdir(parents=True)
    (concepts / "a.md").write_text(
        '+++\ntitle = "A"\nchinese = "甲"\nsummary = "a"\ngroup = "Training"\n+++\n```python\n1 / 0\n```\n',
        encoding="utf-8",
    )
    from convatlas.report.atlas.content import load_content

    monkeypatch.setattr(api, "load_content", lambda *given: load_content(*given, concepts.parent))
    capsys.readouterr()
    assert run("--out", site, "--networks", "lenet5", "--workers", workers) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "error: concepts/a.md, example 1 (line 1 of the text): ZeroDivisionError: division by zero\n"
    assert {path: path.read_bytes() for path in site.rglob("*") if path.is_file()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["site", "words"]


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C reaches a group of processes by other ways there")
def test_ctrl_c_while_processes_start_ends_quietly_and_leaves_nothing(tmp_path: Path) -> None:
    # A shell's background jobs hear no Ctrl-C, nor would what they start, such as these tests: it is heard again.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from convatlas.cli import main; "
        "main(['atlas', '--out', 'site', '--networks', 'lenet5', '--workers', '2'])"
    )
    command = (sys.executable, "-c", code)
    building = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    while building.poll() is None and not list(tmp_path.iterdir()):
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(building.pid, signal.SIGINT)
    said, _ = building.communicate(timeout=60)
    assert said == ""
    assert building.returncode == 130
    assert list(tmp_path.iterdir()) == []


def test_without_the_packages_of_the_extra_it_says_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(api, "find_spec", lambda name: None if name == "pygraphviz" else object())
    assert run("--out", tmp_path / "site") == 2
    assert "pip install 'convatlas[atlas]'" in capsys.readouterr().err


def test_an_error_of_content_survives_the_way_between_processes() -> None:
    import pickle

    error = pickle.loads(pickle.dumps(ContentError("concepts/a.md: no")))
    assert str(error) == "concepts/a.md: no"
