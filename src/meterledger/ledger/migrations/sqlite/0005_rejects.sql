-- Refused rows as a workflow: a row that was half mended knows the refused row it mends, closing is final,
-- and one view has all that is needed to list, export and read again.

-- The refused row that this one was meant to mend: it came in an exported file that names it.
ALTER TABLE rejects ADD COLUMN mends INTEGER REFERENCES rejects (id);
CREATE INDEX rejects_by_mended ON rejects (mends) WHERE mends IS NOT NULL;

-- Only how often it was seen may change after a refused row is closed.
CREATE TRIGGER rejects_stay_closed BEFORE UPDATE ON rejects
WHEN OLD.closed_at IS NOT NULL AND (
    NEW.closed_at IS NOT OLD.closed_at OR NEW.closed_as IS NOT OLD.closed_as
    OR NEW.closed_note IS NOT OLD.closed_note OR NEW.accepted_as IS NOT OLD.accepted_as
    OR NEW.kind IS NOT OLD.kind OR NEW.reason IS NOT OLD.reason OR NEW.message IS NOT OLD.message
    OR NEW.differences IS NOT OLD.differences
)
BEGIN SELECT RAISE(ABORT, 'a refused row is closed for good'); END;

-- Where a refused row stands, and what it stands there for, never change.
CREATE TRIGGER rejects_refuse_rewrite BEFORE UPDATE ON rejects
WHEN NEW.id IS NOT OLD.id OR NEW.import IS NOT OLD.import OR NEW.source IS NOT OLD.source
    OR NEW.line IS NOT OLD.line OR NEW.raw IS NOT OLD.raw OR NEW.raw_digest IS NOT OLD.raw_digest
    OR NEW.mends IS NOT OLD.mends OR NEW.recorded_at IS NOT OLD.recorded_at
BEGIN SELECT RAISE(ABORT, 'the text of a refused row never changes'); END;

CREATE TRIGGER rejects_refuse_delete BEFORE DELETE ON rejects
BEGIN SELECT RAISE(ABORT, 'refused rows are never deleted'); END;

-- A refused row with its file, and how that file was read. The header is that of the last import which
-- brought the row and kept its header: an import of an earlier version kept none.
CREATE VIEW refused_rows AS
SELECT
    r.id, r.kind, r.import, s.name AS source, i.file, i.path, i.sha256, i.size_bytes, r.line, r.reason,
    r.message, r.raw, r.differences, r.request_id, r.customer_id, r.feature, r.event_time, r.times_seen,
    r.recorded_at, r.closed_at, r.closed_as, r.closed_note, r.accepted_as, r.mends, i.backfill,
    i.already_billed, i.keeps_identifier, i.first_of_source, i.voided_at, i.compression,
    h.input_format, h.delimiter, h.header, h.mapping
FROM rejects AS r
INNER JOIN sources AS s ON s.id = r.source
INNER JOIN imports AS i ON i.id = r.import
INNER JOIN imports AS h ON h.id = COALESCE(
    (
        SELECT MAX(seen.import) FROM reject_sightings AS seen
        INNER JOIN imports AS known ON known.id = seen.import
        WHERE seen.reject = r.id AND known.header IS NOT NULL
    ),
    r.import
);
