"""Checkpoints come back as they were, and a full disk or a damaged file is said, not suffered."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from convatlas.engine.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from convatlas.errors import CheckpointError, SaveError

pytestmark = pytest.mark.row("F-04")


def trained(optimizer_class=torch.optim.AdamW):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 2))
    optimizer = optimizer_class(network.parameters(), lr=0.1)
    average = AveragedModel(network, use_buffers=True)
    for _ in range(3):
        network(torch.randn(4, 1, 4, 4)).square().sum().backward()
        optimizer.step()
        average.update_parameters(network)
    return network, optimizer, average


@pytest.mark.parametrize("optimizer_class", [torch.optim.AdamW, torch.optim.SGD, torch.optim.RMSprop])
def test_every_tensor_and_number_comes_back(tmp_path, optimizer_class):
    network, optimizer, average = trained(optimizer_class)
    saved = Checkpoint(
        network=network.state_dict(),
        average=average.state_dict(),
        optimizer=optimizer.state_dict(),
        progress={"epochs": 3, "history": [{"epoch": 1}]},
    )
    save_checkpoint(tmp_path / "last", saved)
    loaded = load_checkpoint(tmp_path / "last")
    for before, after in ((saved.network, loaded.network), (saved.average, loaded.average)):
        assert list(before) and before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)
    assert loaded.progress == saved.progress

    # The loaded optimiser takes the very step that the original would take.
    twin, fresh, _ = trained(optimizer_class)
    twin.load_state_dict(loaded.network)
    fresh.load_state_dict(loaded.optimizer)
    for net, opt in ((network, optimizer), (twin, fresh)):
        opt.zero_grad()
        torch.manual_seed(5)
        net(torch.randn(4, 1, 4, 4)).square().sum().backward()
        opt.step()
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), twin.parameters(), strict=True))


def test_no_pickle_is_written_or_read(tmp_path):
    network, optimizer, _ = trained()
    save_checkpoint(
        tmp_path / "last",
        Checkpoint(network=network.state_dict(), average=None, optimizer=optimizer.state_dict(), progress={}),
    )
    header_length = int.from_bytes((tmp_path / "last").read_bytes()[:8], "little")
    assert b'"__metadata__"' in (tmp_path / "last").read_bytes()[8 : 8 + header_length]
    assert load_checkpoint(tmp_path / "last").average is None


def rewritten(place: Path, description: str | None) -> None:
    tensors = safetensors.torch.load_file(place)
    safetensors.torch.save_file(tensors, place, None if description is None else {"convatlas": description})


@pytest.mark.parametrize("damage", ["missing", "truncated", "no description", "no json", "newer", "empty object"])
def test_a_damaged_checkpoint_is_named(tmp_path, damage):
    network, optimizer, _ = trained()
    place = tmp_path / "last"
    save_checkpoint(
        place, Checkpoint(network=network.state_dict(), average=None, optimizer=optimizer.state_dict(), progress={})
    )
    if damage == "missing":
        place.unlink()
    elif damage == "truncated":
        data = place.read_bytes()
        place.write_bytes(data[: len(data) // 2])
    else:
        rewritten(place, {"no description": None, "no json": "{", "newer": '{"format_version": 2}'}.get(damage, "{}"))
    with pytest.raises(CheckpointError, match="newer convatlas" if damage == "newer" else "last: is not a checkpoint"):
        load_checkpoint(place)


def test_a_full_disk_leaves_the_earlier_checkpoint_and_no_rubbish(tmp_path):
    code = """
        import resource, sys, torch
        from pathlib import Path
        from convatlas.engine.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
        from convatlas.errors import SaveError

        place = Path(sys.argv[1]) / "last"
        def checkpoint(size):
            optimizer = {"state": {}, "param_groups": []}
            network, progress = {"w": torch.ones(size)}, {"size": size}
            return Checkpoint(network=network, average=None, optimizer=optimizer, progress=progress)

        save_checkpoint(place, checkpoint(10))
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            save_checkpoint(place, checkpoint(1_000_000))
        except SaveError as error:
            print("said:", error)
        print("kept:", load_checkpoint(place).progress["size"], sorted(p.name for p in place.parent.iterdir()))
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert "said:" in run.stdout and "could not be written" in run.stdout
    assert "kept: 10 ['last']" in run.stdout


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    empty = Checkpoint(network={}, average=None, optimizer={"state": {}, "param_groups": []}, progress={})
    with pytest.raises(SaveError, match="could not be written"):
        save_checkpoint(tmp_path / "file" / "last", empty)
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"
