"""The pages hold what the program has, and their links lead somewhere."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

import meterledger
from docs.pages import DOCS, ROOT, all_pages, anchors, links, section
from meterledger.config import tables
from meterledger.domain.blocking import BlockReason
from meterledger.domain.delivery import InDoubtReason, Result, State
from meterledger.domain.grace_cases import GraceCase
from meterledger.domain.lateness import Landing
from meterledger.domain.usage import CANONICAL_FIELDS, Reason
from meterledger.errors import ExitCode
from meterledger.proving.invariants import Invariant
from meterledger.usecases.extend_deadlines import Result as ExtensionResult

_CODE = Path(meterledger.__file__).parent
_TABLES: dict[str, type[Struct]] = {
    "[ledger]": tables.LedgerTable,
    "[sources.NAME]": tables.SourceTable,
    "[sources.NAME.scale.FEATURE]": tables.ScaleTable,
    "[meters.EVENT_NAME]": tables.MeterTable,
    "[stripe]": tables.StripeTable,
    "[invoicing]": tables.InvoicingTable,
    "[plans.NAME.features.FEATURE]": tables.PlanFeatureTable,
}


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_commands", DOCS / "generate_commands.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _rows(text: str) -> dict[str, str]:
    """Return the rows of all tables by their first cell, without its backticks."""
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", text, re.MULTILINE)
    return {first.strip("`"): rest for first, rest in rows}


def test_the_page_of_commands_is_what_the_program_makes() -> None:
    """docs/commands.md is generated, so a changed option cannot leave it behind."""
    assert (DOCS / "commands.md").read_text() == _generator().page()


def test_every_command_and_option_is_documented() -> None:
    """Each parameter of each command stands in the section of that command."""
    page = DOCS / "commands.md"
    for path, name in _generator().documented_parameters():
        if name in {"--help", "-h"}:
            continue
        heading = path.removeprefix("meterledger").strip() or "Global options"
        assert re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", section(page, heading)), f"{path} {name}"


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_page_and_a_heading(page: Path) -> None:
    """No link between pages is broken, anchors included."""
    for target in links(page):
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        assert there.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(there), f"{page.name}: {target}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    """No page stands alone: from the README each one can be clicked to."""
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        waiting += [(page.parent / target.partition("#")[0]).resolve() for target in links(page)]
    assert {page for page in DOCS.rglob("*.md") if page.name != "benchmarks.md"} <= reached


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_code_is_documented_with_its_mend(reason: Reason) -> None:
    """A code that a user meets in a rejection stands in the table of the importing page."""
    assert reason.value in _rows(section(DOCS / "importing.md", "Reason codes"))


def test_reason_codes_stand_in_the_order_in_which_they_are_tried() -> None:
    """The page promises that the first rule that fails names the rejection."""
    rows = _rows(section(DOCS / "importing.md", "Reason codes"))
    assert [code for code in rows if code in set(Reason)] == [reason.value for reason in Reason]


@pytest.mark.parametrize("field", CANONICAL_FIELDS)
def test_every_field_is_documented(field: str) -> None:
    """A field that import reads stands in the table of columns."""
    assert field in _rows(section(DOCS / "importing.md", "Columns"))


@pytest.mark.parametrize("reason", BlockReason)
def test_every_block_reason_is_documented_with_its_mend(reason: BlockReason) -> None:
    """A reason that a user meets in preview or push stands in the table of the pushing page."""
    assert reason.value in _rows(section(DOCS / "pushing.md", "What is blocked"))


def test_block_reasons_stand_in_the_order_in_which_they_are_tried() -> None:
    """Where two reasons hold, the page tells which one is shown."""
    rows = _rows(section(DOCS / "pushing.md", "What is blocked"))
    assert [code for code in rows if code in set(BlockReason)] == [reason.value for reason in BlockReason]


@pytest.mark.parametrize(
    ("heading", "field"),
    [(heading, field.encode_name) for heading, table in _TABLES.items() for field in fields(table)],
)
def test_every_config_key_is_documented_with_its_default(heading: str, field: str) -> None:
    """Each key stands in the section of its table, and the default shown is the default that holds."""
    told = _rows(section(DOCS / "config.md", heading))[field]
    default = _defaults(_TABLES[heading])[field]
    if default is not None:
        assert told.startswith(default), f"{heading} {field}: {told}"


def _defaults(table: type[Struct]) -> dict[str, str | None]:
    """Return each key's default as TOML; None where there is none or it is a table."""
    found: dict[str, str | None] = {}
    for field in fields(table):
        default = field.default
        if isinstance(default, tuple):
            default = list(default)
        is_plain = default is not NODEFAULT and default is not None
        found[field.encode_name] = f"`{default!r}`".replace("'", '"') if is_plain else None
    return found


def test_the_keys_of_a_plan_are_documented() -> None:
    """A plan has one key of its own, which stands with those of its features."""
    rows = _rows(section(DOCS / "config.md", "[plans.NAME.features.FEATURE]"))
    assert {field.encode_name for field in fields(tables.PlanTable)} <= set(rows)


@pytest.mark.parametrize("invariant", Invariant)
def test_every_invariant_of_prove_is_documented(invariant: Invariant) -> None:
    """What a proof says that it checked stands on its page."""
    assert invariant.value in _rows(section(DOCS / "proving.md", "What it checks"))


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "commands.md"], ids=lambda page: page.name)
def test_every_exit_code_is_documented(page: Path) -> None:
    """A script that calls the program finds each code that it may get."""
    assert {str(code.value) for code in ExitCode} <= set(_rows(page.read_text()))


@pytest.mark.parametrize("word", [*State, *Result, *InDoubtReason])
def test_every_state_and_outcome_of_delivery_is_documented(word: str) -> None:
    """The page of delivery names all that the ledger records of it."""
    assert f"`{word}`" in (DOCS / "delivery.md").read_text()


@pytest.mark.parametrize("word", Landing)
def test_every_figure_of_the_audit_is_documented(word: Landing) -> None:
    """Each column of the audit is defined."""
    assert word.value in _rows(section(DOCS / "auditing.md", "Where each usage event stands"))


def test_every_finding_is_documented() -> None:
    """A code that a report may carry is explained on the page of the audit."""
    codes = {
        code
        for file in (_CODE / "usecases").glob("*.py")
        for code in re.findall(r'Finding\(\s*code=f?"([a-z_{}]+)"', file.read_text())
    }
    codes = (codes - {"open_{kind}s"}) | {"open_rejections", "open_conflicts"}
    text = section(DOCS / "auditing.md", "Findings")
    assert not [code for code in sorted(codes) if f"`{code}`" not in text]


@pytest.mark.parametrize("case", GraceCase)
def test_every_case_that_grace_does_not_cover_is_documented(case: GraceCase) -> None:
    """Its code stands among the findings."""
    assert case.value in _rows(section(DOCS / "auditing.md", "Findings"))


@pytest.mark.parametrize("result", ExtensionResult)
def test_every_result_of_an_extension_is_documented(result: ExtensionResult) -> None:
    """What a script may find in `deadline extend` stands on its page."""
    assert f"`{result.value}`" in (DOCS / "deadlines.md").read_text()


def test_every_check_of_verify_stands_beside_its_invariant() -> None:
    """The page of the architecture says which check holds what."""
    text = section(DOCS / "architecture.md", "Where the invariants are held")
    source = (_CODE / "usecases" / "verify.py").read_text()
    checks = re.findall(r'^    "([a-z_]+)": "', source, re.MULTILINE)
    checks += re.findall(r'_judged\(\s*"([a-z_]+)"', source)
    assert checks
    assert not [check for check in checks if f"`{check}`" not in text]


def test_every_table_of_a_ledger_is_documented() -> None:
    """Who opens a ledger with another program finds what each table holds."""
    sql = "".join(file.read_text() for file in (_CODE / "ledger" / "migrations" / "sqlite").glob("*.sql"))
    text = section(DOCS / "architecture.md", "The ledger's tables")
    made = re.findall(r"^CREATE (?:TABLE|VIEW) (\w+)", sql, re.MULTILINE)
    assert made
    assert not [name for name in made if f"`{name}`" not in text]
