"""Makes HTML of the page's view; every text in it is escaped."""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from meterledger.simulator.page.view import MOST_ROWS, PageView

HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    # No script runs here, whatever a client called its customers.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
}


def render_page(view: PageView) -> bytes:
    """Return the page as UTF-8."""
    return _template().render(view=view, most_rows=MOST_ROWS).encode(errors="replace")


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("meterledger.simulator", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")
