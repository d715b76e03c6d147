"""`meterledger prove`: seeded histories of faults, against a local Stripe and an independent model."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meterledger.cli.context import Context, context_of
from meterledger.cli.output import Format, count_text, print_csv, print_json, print_table, say
from meterledger.cli.progress import progress_bar
from meterledger.errors import ExitCode

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from meterledger.proving.invariants import Broken
    from meterledger.proving.prove import Failure, ProofReport, Watcher

_RUNS = 20
_MAX_RUNS = 1_000_000
_MAX_SEED = 2**62

_TOLD_EVERY_SECONDS = 30.0
"""How often it is said how far it is, where no progress bar shows it."""


def prove(
    ctx: typer.Context,
    *,
    seed: Annotated[
        int,
        typer.Option(min=0, max=_MAX_SEED, metavar="N", help="The first seed; each history has the next."),
    ] = 1,
    runs: Annotated[
        int, typer.Option(min=1, max=_MAX_RUNS, metavar="M", help="How many histories to live.")
    ] = _RUNS,
    max_duration: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Begin no further history after so long, e.g. 10m."),
    ] = None,
    format_: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
) -> None:
    """
    Prove that nothing counts twice or is lost: histories of faults, crashes and clock jumps, on this machine.

    Each history imports and pushes against a local Stripe in another process, and is compared with a model.
    Your config, ledger and key are not touched. Exit code 1 if an invariant does not hold: then the smallest
    history that breaks it is printed.
    """
    from meterledger.domain.instant import SECOND
    from meterledger.proving.prove import prove as run_proof

    context = context_of(ctx)
    duration = context.duration(max_duration, "--max-duration")
    deadline = None if duration is None else time.monotonic() + duration / SECOND
    with progress_bar(wanted=not context.quiet) as bar:
        report = run_proof(seed, runs, watcher=_watcher(context, bar, runs, deadline))
    _print(report, runs, format_, context)
    if report.failure:
        raise typer.Exit(ExitCode.NEEDS_A_PERSON)


def _watcher(context: Context, bar: "Bar | None", runs: int, deadline: float | None) -> "Watcher":
    from meterledger.proving.prove import Watcher

    task = bar.add_task("histories", total=runs, rate="") if bar else None
    told = time.monotonic()

    def lived(done: int) -> None:
        nonlocal told
        if bar and task is not None:
            bar.update(task, completed=done)
        elif not context.quiet and time.monotonic() - told >= _TOLD_EVERY_SECONDS:
            told = time.monotonic()
            say(f"{count_text(done)} of {count_text(runs)} histories")

    def failed(broken: "Broken") -> None:
        if not context.quiet:
            say(f"{broken}; looking for the smallest history that breaks it…", style="bold red")

    return Watcher(
        lived=lived, failed=failed, is_over=lambda: deadline is not None and time.monotonic() >= deadline
    )


def _print(report: "ProofReport", wanted: int, format_: Format, context: Context) -> None:
    from meterledger.proving.invariants import Invariant

    checked = report.tally.checked
    match format_:
        case Format.JSON:
            print_json("prove", _document(report))
        case Format.CSV:
            print_csv(("invariant", "checked"), [(one.value, checked[one]) for one in Invariant])
        case Format.TABLE:
            print_table(
                [("invariant", "left"), ("checked", "right"), ("", "fold")],
                [[one.value, count_text(checked[one]), one.says] for one in Invariant],
            )
            print_table(
                [("", "left"), ("", "right")],
                [[name, count_text(count)] for name, count in _counts(report).items()],
            )
    if report.failure:
        _tell_failure(report.failure, format_)
    elif context.quiet:
        return
    elif report.runs < wanted:
        say(f"Everything held in {count_text(report.runs)} of {count_text(wanted)} histories: time was up.")
    else:
        say(f"Everything held in {count_text(report.runs)} histories from seed {report.seed} on.")


def _counts(report: "ProofReport") -> dict[str, int]:
    tally = report.tally
    return {
        "runs": report.runs,
        "imports": tally.imports,
        "pushes": tally.pushes,
        "crashes": tally.crashes,
        "requests": tally.requests,
        "faults_struck": tally.faults_struck,
    }


def _document(report: "ProofReport") -> dict[str, Any]:
    from meterledger.proving.invariants import Invariant

    return {
        "ok": report.failure is None,
        "seed": report.seed,
        **_counts(report),
        "invariants": [{"name": one.value, "checked": report.tally.checked[one]} for one in Invariant],
        "failure": _failure(report.failure) if report.failure else None,
    }


def _failure(failure: "Failure") -> dict[str, Any]:
    return {
        "seed": failure.history.seed,
        "invariant": failure.broken.invariant.value,
        "detail": failure.broken.detail,
        "steps": [str(step) for step in failure.history.steps],
        "steps_as_drawn": failure.first_steps,
        "again": _again(failure),
    }


def _again(failure: "Failure") -> str:
    return f"meterledger prove --seed {failure.history.seed} --runs 1"


def _tell_failure(failure: "Failure", format_: Format) -> None:
    """Tell people what broke; its steps go to stdout in a table, or stand there as JSON already."""
    steps = [[str(number), str(step)] for number, step in enumerate(failure.history.steps, 1)]
    broken = failure.broken
    say(f"BROKEN: {broken.invariant.value}: {broken.invariant.says}", style="bold red")
    say(f"  {broken.detail}")
    match format_:
        case Format.TABLE:
            title = f"smallest failing history of seed {failure.history.seed}"
            print_table([("step", "right"), (title, "fold")], steps)
        case Format.CSV:
            for number, step in steps:
                say(f"  {number} {step}")
    say("At the end of each history the faults end, an hour passes, and it is pushed until nothing is left.")
    say(f"Again: `{_again(failure)}`; please report it with these steps.")
