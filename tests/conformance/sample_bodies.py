"""
Stripe's bodies as this project knows them, for comparison of shape: names and JSON types, not values.

A null says that the field is there, whatever its type.
"""

from typing import Any

EVENT: dict[str, Any] = {
    "object": "billing.meter_event",
    "created": 1,
    "event_name": "api_requests",
    "identifier": "ul1-7f3c9a",
    "livemode": False,
    "payload": {"stripe_customer_id": "cus_TestAlpha", "value": "12.5"},
    "timestamp": 1,
}

V2_EVENT: dict[str, Any] = {
    **EVENT,
    "object": "v2.billing.meter_event",
    "created": "2026-11-22T06:00:00.000Z",
    "timestamp": "2026-11-22T05:00:00.000Z",
}

ADJUSTMENT: dict[str, Any] = {
    "object": "billing.meter_event_adjustment",
    "livemode": False,
    "status": "pending",
    "event_name": "api_requests",
    "type": "cancel",
    "cancel": {"identifier": "ul1-7f3c9a"},
}

V2_ADJUSTMENT: dict[str, Any] = {
    **ADJUSTMENT,
    "id": "mtr_event_adj_1",
    "object": "v2.billing.meter_event_adjustment",
    "created": "2026-11-22T06:00:00.000Z",
}

SESSION: dict[str, Any] = {
    "object": "v2.billing.meter_event_session",
    "id": "mes_test_1",
    "livemode": False,
    "authentication_token": "tok_sess_1",
    "created": "2026-11-22T06:00:00.000Z",
    "expires_at": "2026-11-22T06:15:00.000Z",
}

METER: dict[str, Any] = {
    "id": "mtr_test_1",
    "object": "billing.meter",
    "created": 1,
    "updated": 1,
    "livemode": False,
    "status": "active",
    "display_name": "API requests",
    "event_name": "api_requests",
    "event_time_window": None,
    "default_aggregation": {"formula": "sum"},
    "customer_mapping": {"type": "by_id", "event_payload_key": "stripe_customer_id"},
    "value_settings": {"event_payload_key": "value"},
    "status_transitions": {"deactivated_at": None},
}

SUMMARIES: dict[str, Any] = {
    "object": "list",
    "url": "/v1/billing/meters/mtr_test_1/event_summaries",
    "has_more": False,
    "data": [
        {
            "id": "mtrusg_test_1",
            "object": "billing.meter_event_summary",
            "aggregated_value": 42.5,
            "start_time": 1,
            "end_time": 1,
            "livemode": False,
            "meter": "mtr_test_1",
        }
    ],
}

ERROR_REPORTS: dict[str, Any] = {
    "data": [
        {
            "id": "evt_test_1",
            "object": "v2.core.event",
            "type": "v1.billing.meter.error_report_triggered",
            "created": "2026-11-22T06:00:12.050Z",
            "livemode": False,
            "context": None,
            "changes": None,
            "reason": None,
            "related_object": {
                "id": "mtr_test_1",
                "type": "billing.meter",
                "url": "/v1/billing/meters/mtr_test_1",
            },
            "data": {
                "developer_message_summary": "There are 3 invalid events",
                "validation_start": "2026-11-22T06:00:00.000Z",
                "validation_end": "2026-11-22T06:00:10.000Z",
                "reason": {
                    "error_count": 3,
                    "error_types": [
                        {
                            "code": "meter_event_customer_not_found",
                            "error_count": 3,
                            "sample_errors": [
                                {"error_message": "...", "request": {"identifier": "ul1-7f3c9a"}}
                            ],
                        }
                    ],
                },
            },
        }
    ],
    "next_page_url": None,
    "previous_page_url": None,
}

DRAFT: dict[str, Any] = {
    "id": "in_1",
    "object": "invoice",
    "status": "draft",
    "billing_reason": "subscription_cycle",
    "auto_advance": True,
    "created": 1,
    "automatically_finalizes_at": 1,
    "period_start": 1,
    "period_end": 1,
    "customer": "cus_TestAlpha",
    "status_transitions": {
        "finalized_at": None,
        "paid_at": None,
        "voided_at": None,
        "marked_uncollectible_at": None,
    },
    "parent": {
        "type": "subscription_details",
        "subscription_details": {"subscription": "sub_1", "metadata": {}},
    },
    "webhooks_delivered_at": None,
    "livemode": False,
    "lines": {
        "object": "list",
        "has_more": False,
        "url": "/v1/invoices/in_1/lines",
        "data": [
            {
                "id": "il_1",
                "object": "line_item",
                "quantity": 40,
                "period": {"start": 1, "end": 1},
                "pricing": {
                    "type": "price_details",
                    "price_details": {"price": "price_1", "product": "prod_1"},
                },
                "parent": {
                    "type": "subscription_item_details",
                    "subscription_item_details": {"subscription_item": "si_1", "subscription": "sub_1"},
                },
            }
        ],
    },
}

ALERT_TRIGGERED: dict[str, Any] = {
    "object": "billing.alert_triggered",
    "alert": {"id": "alrt_1", "object": "billing.alert"},
    "customer": "cus_TestAlpha",
    "value": 10_500,
    "created": 1,
    "livemode": False,
}

REFUSALS: dict[str, dict[str, Any]] = {
    # Stripe's has a request_log_url too, which leads to a page of its own: there is none for these requests.
    "duplicate": {"type": "invalid_request_error", "message": "..."},
    "too old": {"type": "invalid_request_error", "param": "timestamp", "message": "..."},
    "no meter": {"type": "invalid_request_error", "message": "..."},
    "lock": {"type": "invalid_request_error", "code": "lock_timeout", "message": "..."},
    "limiter": {"type": "invalid_request_error", "code": "rate_limit", "message": "..."},
    "mismatch": {"type": "idempotency_error", "message": "..."},
    "failure": {"type": "api_error", "message": "..."},
    "v2 duplicate": {"code": "duplicate_meter_event", "message": "..."},
    "v2 lock": {"code": "too_many_concurrent_requests", "message": "..."},
    "v2 no meter": {"code": "no_meter", "message": "..."},
    "v2 archived": {"code": "archived_meter", "message": "..."},
    "v2 value": {"code": "payload_invalid_value", "message": "..."},
    "v2 no customer": {"code": "payload_no_customer_defined", "message": "..."},
    "v2 no value": {"code": "payload_no_value_defined", "message": "..."},
    "expired": {
        "type": "temporary_session_expired",
        "code": "billing_meter_event_session_expired",
        "message": "...",
        "doc_url": "https://docs.stripe.com/error-codes",
    },
}
