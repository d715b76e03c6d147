"""The tables of a state file, and the views for people who open it with sqlite3."""

from collections.abc import Mapping

DOCUMENTS = (
    """
    CREATE TABLE collection (
        number INTEGER PRIMARY KEY,
        account TEXT NOT NULL,      -- acct_...; empty for the simulator itself
        livemode INTEGER NOT NULL,
        kind TEXT NOT NULL,
        UNIQUE (account, livemode, kind)
    )
    """,
    """
    CREATE TABLE document (
        number INTEGER PRIMARY KEY, -- the order in which they were first put
        collection INTEGER NOT NULL REFERENCES collection (number),
        key TEXT NOT NULL,
        document TEXT NOT NULL,     -- JSON
        UNIQUE (collection, key)
    )
    """,
)

VIEWS: Mapping[str, str] = {
    "stored_object": """
        SELECT account, livemode, kind, key, document, document.number AS number
        FROM document JOIN collection ON collection.number = document.collection
    """,
    "counted_event": """
        SELECT account, livemode, CAST(key AS INTEGER) AS row,
            json_extract(document, '$.meter') AS meter,
            json_extract(document, '$.customer') AS customer,
            json_extract(document, '$.identifier') AS identifier,
            json_extract(document, '$.timestamp') AS timestamp,
            json_extract(document, '$.value[0]') AS value_digits,
            json_extract(document, '$.value[1]') AS value_places, -- of the digits, behind the point
            json_extract(document, '$.received_at') AS received_at,
            json_extract(document, '$.canceled_at') AS canceled_at
        FROM stored_object WHERE kind = 'counted_event' ORDER BY number
    """,
    "identifier": """
        SELECT account, livemode, key AS identifier,
            json_extract(document, '$[0]') AS arrivals,
            json_extract(document, '$[1]') AS counted
        FROM stored_object WHERE kind = 'identifier' ORDER BY number
    """,
    "invoice": """
        SELECT account, livemode, key AS id,
            json_extract(document, '$.status') AS status,
            json_extract(document, '$.customer') AS customer,
            document
        FROM stored_object WHERE kind = 'invoice' ORDER BY number
    """,
}
"""The queries of the views by their names; they are made anew whenever a simulator opens the file."""
