-- A file that was written anew in place may begin as it did before: what stood before its place tells.

-- SHA-256 of the last of what was taken, as many bytes as the fingerprint covers; NULL until rows are taken.
ALTER TABLE followed_files ADD COLUMN tail_fingerprint TEXT
CHECK (tail_fingerprint IS NULL OR length(tail_fingerprint) = 64);
