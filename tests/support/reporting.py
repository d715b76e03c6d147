"""A Stripe in memory that reports errors later, page by page, the newest first."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from meterledger.domain.error_report import ErrorReport, ErrorSample, ReportedErrors
from meterledger.errors import StripeError
from meterledger.stripe_gateway.error_reports import ReportPage, UnreadableReport
from meterledger.stripe_gateway.gateway import Read

SECOND = 1_000_000
DAY = 86_400 * SECOND
CODE = "meter_event_customer_not_found"


@dataclass
class Reporter:
    """Tells error reports of 30 days; `asked` is what it was asked for, in order."""

    clock: Callable[[], int]
    page_size: int = 2
    reports: list[ErrorReport] = field(default_factory=list)
    asked: list[tuple[int | None, int | None, str | None]] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=lambda: {"mtr_calls": "calls"})
    refusal: str = ""
    failure: StripeError | None = None
    unreadable: set[str] = field(default_factory=set)
    """Events, by id, of a form that is not known."""
    fails_after: int = 0
    """Answers before refusal or failure."""

    def report(
        self,
        *names: str,
        code: str = CODE,
        count: int | None = None,
        created: int | None = None,
        window: tuple[int, int] | None = None,
        meter: str | None = "mtr_calls",
    ) -> ErrorReport:
        """Publish a report of the ten seconds before now, unless told otherwise."""
        at = self.clock() if created is None else created
        start, end = window or (at - 10 * SECOND, at + SECOND)
        samples = tuple(ErrorSample(name=name, message=f"no, {name}") for name in names)
        errors = ReportedErrors(
            code=code, error_count=len(names) if count is None else count, samples=samples
        )
        made = ErrorReport(
            event_id=f"evt_{len(self.reports)}",
            type="v1.billing.meter.error_report_triggered",
            created=at,
            meter_id=meter,
            validation_start=start,
            validation_end=end,
            errors=(errors,),
        )
        self.reports.append(made)
        return made

    async def meter_names(self) -> Read:
        """Tell which meters there are."""
        return Read(value=self.names)

    async def error_reports(self, *, since: int | None, before: int | None, page: str | None) -> Read:
        """Tell a page of reports."""
        self.asked.append((since, before, page))
        if len(self.asked) > self.fails_after:
            if self.failure:
                raise self.failure
            if self.refusal:
                return Read(value=None, warning=self.refusal)
        found = self._kept(since, before)
        start = int(page or 0)
        end = start + self.page_size
        following = str(end) if end < len(found) else None
        page_of = found[start:end]
        odd = (one for one in page_of if one.event_id in self.unreadable)
        return Read(
            value=ReportPage(
                reports=tuple(one for one in page_of if one.event_id not in self.unreadable),
                unreadable=tuple(UnreadableReport(event_id=one.event_id, created=one.created) for one in odd),
                next_page=following,
            )
        )

    def _kept(self, since: int | None, before: int | None) -> Sequence[ErrorReport]:
        return sorted(
            (
                one
                for one in self.reports
                if one.created >= self.clock() - 30 * DAY
                and (since is None or one.created >= since)
                and (before is None or one.created <= before)
            ),
            key=lambda one: one.created,
            reverse=True,
        )
