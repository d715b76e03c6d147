"""How the API shows an invoice."""

from meterledger.simulator.billing.invoices import Invoice, InvoiceStatus, Line
from meterledger.simulator.instants import DAY_SECONDS
from meterledger.simulator.metering.tally import plain

# What Stripe has beside what is simulated here.
_ABSENT = (
    "account_tax_ids",
    "application",
    "custom_fields",
    "customer_address",
    "customer_email",
    "customer_name",
    "customer_phone",
    "customer_shipping",
    "default_payment_method",
    "default_source",
    "footer",
    "from_invoice",
    "hosted_invoice_url",
    "invoice_pdf",
    "last_finalization_error",
    "latest_revision",
    "next_payment_attempt",
    "on_behalf_of",
    "receipt_number",
    "rendering",
    "shipping_cost",
    "shipping_details",
    "statement_descriptor",
    "test_clock",
    "threshold_reason",
    "webhooks_delivered_at",
)


def invoice_body(invoice: Invoice) -> dict[str, object]:
    """Return an invoice as the API shows it, with the quantities that it has."""
    return {
        "id": invoice.id,
        "object": "invoice",
        **dict.fromkeys(_ABSENT),
        "account_country": "US",
        "account_name": "meterledger simulator",
        **_amounts(invoice),
        "attempt_count": 0,
        "attempted": invoice.status is InvoiceStatus.PAID,
        "auto_advance": invoice.auto_advance,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None, "status": None},
        "automatically_finalizes_at": invoice.automatically_finalizes_at,
        "billing_reason": invoice.reason,
        "collection_method": invoice.collection,
        "created": invoice.created,
        "currency": invoice.currency,
        "customer": invoice.customer,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_tax_rates": [],
        "description": invoice.description,
        "discounts": [],
        "due_date": _due_date(invoice),
        "effective_at": invoice.finalized_at,
        "ending_balance": None if invoice.finalized_at is None else 0,
        "issuer": {"type": "self"},
        "lines": {
            "object": "list",
            "data": [line_body(invoice, line) for line in invoice.lines],
            "has_more": False,
            "total_count": len(invoice.lines),
            "url": f"/v1/invoices/{invoice.id}/lines",
        },
        "livemode": invoice.livemode,
        "metadata": invoice.metadata,
        "number": invoice.number,
        "parent": _parent(invoice),
        "payment_settings": dict.fromkeys(
            ("default_mandate", "payment_method_options", "payment_method_types")
        ),
        "period_end": invoice.period_end,
        "period_start": invoice.period_start,
        "starting_balance": 0,
        "status": invoice.status,
        "status_transitions": {
            "finalized_at": invoice.finalized_at,
            "marked_uncollectible_at": None,
            "paid_at": invoice.finalized_at if invoice.status is InvoiceStatus.PAID else None,
            "voided_at": None,
        },
    }


def line_body(invoice: Invoice, line: Line) -> dict[str, object]:
    """Return a line as the API shows it: a quantity cut to a whole number, and the exact one as text."""
    quantity, amount = line.quantity, line.amount
    return {
        "id": line.id,
        "object": "line_item",
        "amount": amount,
        "currency": invoice.currency,
        "description": f"{plain(quantity)} × {line.label}",  # noqa: RUF001 - the sign that Stripe writes
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": invoice.id,
        "livemode": invoice.livemode,
        "metadata": {},
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": None,
                "subscription": invoice.subscription,
                "subscription_item": line.item,
            },
            "type": "subscription_item_details",
        },
        "period": {"start": line.start, "end": line.end},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": line.price, "product": line.product},
            "type": "price_details",
            "unit_amount_decimal": plain(line.unit_amount),
        },
        "quantity": int(quantity),
        "quantity_decimal": plain(quantity),
        "subscription": invoice.subscription,
        "subtotal": amount,
        "taxes": [],
    }


def _amounts(invoice: Invoice) -> dict[str, object]:
    total = invoice.total
    return {
        "amount_due": total,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": total,
        "amount_shipping": 0,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "subtotal": total,
        "subtotal_excluding_tax": total,
        "total": total,
        "total_discount_amounts": [],
        "total_excluding_tax": total,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
    }


def _parent(invoice: Invoice) -> dict[str, object]:
    details = {"metadata": invoice.subscription_metadata, "subscription": invoice.subscription}
    return {"quote_details": None, "subscription_details": details, "type": "subscription_details"}


def _due_date(invoice: Invoice) -> int | None:
    if invoice.days_until_due is None or invoice.finalized_at is None:
        return None
    return invoice.finalized_at + invoice.days_until_due * DAY_SECONDS
