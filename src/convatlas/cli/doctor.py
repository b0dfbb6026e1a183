"""`convatlas doctor`: what is installed, what works, and what to do about the rest."""

import dataclasses
from typing import TYPE_CHECKING

import typer

from convatlas.cli.output import AsJson, note, print_json, print_line, print_table

if TYPE_CHECKING:
    from convatlas.engine.doctor import Diagnosis, Package


def doctor(as_json: AsJson = False) -> None:
    """Say what is installed, which extras and devices work, and how much room there is.

    Exits 1 when a package that convatlas cannot do without is missing, too old or does not import.
    """
    from convatlas.engine.doctor import diagnose

    note("importing every package once: some seconds ...")
    diagnosis = diagnose()
    if as_json:
        print_json(_as_json(diagnosis))
    else:
        _print(diagnosis)
    if not diagnosis.core_works:
        raise typer.Exit(1)


def _as_json(diagnosis: "Diagnosis") -> dict[str, object]:
    values = dataclasses.asdict(diagnosis)
    return {**values, "runs": str(diagnosis.runs), "core_works": diagnosis.core_works, "extras": diagnosis.extras}


def _print(diagnosis: "Diagnosis") -> None:
    print_line(f"convatlas {diagnosis.convatlas} on Python {diagnosis.python}, {diagnosis.platform}")
    print_line()
    rows = [
        [package.name, package.extra or "core", package.version or "-", package.wanted, _verdict(package)]
        for package in diagnosis.packages
    ]
    print_table(["package", "part", "installed", "wanted", "state"], rows)
    print_line()
    for extra, works in diagnosis.extras.items():
        print_line(f"extra {extra}: " + ("works" if works else f"not usable: pip install 'convatlas[{extra}]'"))
    threads = f", torch uses {diagnosis.torch_threads} threads" if diagnosis.torch_threads else ""
    print_line(f"cpu: {diagnosis.cpu_cores} cores{threads}")
    for device in diagnosis.devices:
        print_line(f"device {device.name}: {device.description}")
    if diagnosis.torch_problem:
        print_line(f"torch does not work: {diagnosis.torch_problem}")
    writable = "" if diagnosis.runs_writable else " (cannot be written: name another place with --out)"
    print_line(f"runs go to {diagnosis.runs}{writable}, {diagnosis.disk_free / 1e9:.1f} GB free")
    print_line()
    if diagnosis.core_works:
        print_line("All that convatlas needs is there.")
    elif not diagnosis.packages:
        print_line("convatlas is not installed: pip install convatlas")
    else:
        print_line("convatlas cannot work fully: pip install --upgrade --force-reinstall convatlas")


def _verdict(package: "Package") -> str:
    if package.state == "broken":
        return f"broken: {package.problem.splitlines()[0]}"
    return package.state
