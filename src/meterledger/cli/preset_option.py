"""The option `--preset`: a program whose files need no mapping."""

from typing import Annotated

import typer

from meterledger.domain.preset import Preset
from meterledger.errors import UsageError


def _preset(text: str) -> Preset:
    if text in list(Preset):
        return Preset(text)
    import difflib

    close = difflib.get_close_matches(text, list(Preset), n=1, cutoff=0.5)
    known = ", ".join(Preset)
    raise UsageError(
        f"there is no preset '{text}'; " + (f"did you mean {close[0]}?" if close else f"there are {known}"),
        hint="a file of another program needs no preset: map its columns in the config",
    )


PresetOption = Annotated[
    Preset | None,
    typer.Option(
        parser=_preset,
        metavar=f"[{'|'.join(Preset)}]",
        help="The program whose files these are: its columns need no mapping.",
    ),
]
