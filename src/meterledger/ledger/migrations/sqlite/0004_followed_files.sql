-- Files that grow: how far each was taken, kept in the transaction that keeps its rows.

-- Whether the rows came from a file that was followed: such an import holds what came while it ran, and
-- says nothing of the whole file.
ALTER TABLE imports ADD COLUMN followed INTEGER NOT NULL DEFAULT 0 CHECK (followed IN (0, 1));

CREATE TABLE followed_files (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES sources (id),
    -- Where the file is looked for; device and inode are those of the file that was read there last.
    path TEXT NOT NULL,
    device TEXT NOT NULL,
    inode TEXT NOT NULL,
    bytes_taken INTEGER NOT NULL CHECK (bytes_taken >= 0),
    lines_taken INTEGER NOT NULL CHECK (lines_taken >= 0),
    header TEXT,
    -- SHA-256 of the head of the file: of what was taken, at most its first 4 KiB.
    fingerprint TEXT NOT NULL CHECK (length(fingerprint) = 64),
    -- The import that its rows went to; NULL before the first row.
    import INTEGER REFERENCES imports (id),
    updated_at INTEGER NOT NULL,
    UNIQUE (source, path)
) STRICT;
