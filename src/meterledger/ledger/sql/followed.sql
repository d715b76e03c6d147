-- name: followed_place
SELECT p.device, p.inode, p.bytes_taken, p.lines_taken, p.header, p.fingerprint, p.tail_fingerprint
FROM followed_files AS p
INNER JOIN sources AS s ON s.id = p.source
WHERE s.name = :source AND p.path = :path;

-- name: keep_followed_place
INSERT INTO followed_files (
    source, path, device, inode, bytes_taken, lines_taken, header, fingerprint, tail_fingerprint, import,
    updated_at
) VALUES (
    :source, :path, :device, :inode, :bytes_taken, :lines_taken, :header, :fingerprint, :tail_fingerprint,
    :import, :updated_at
) ON CONFLICT (source, path) DO UPDATE SET
    device = excluded.device, inode = excluded.inode, bytes_taken = excluded.bytes_taken,
    lines_taken = excluded.lines_taken, header = excluded.header, fingerprint = excluded.fingerprint,
    tail_fingerprint = excluded.tail_fingerprint, import = excluded.import, updated_at = excluded.updated_at;

-- name: note_taken_by_import
-- A followed import has the digest and the size of what it took up to now.
UPDATE imports SET followed = 1, sha256 = :sha256, size_bytes = :size_bytes
WHERE id = :import AND finished_at IS NULL;
