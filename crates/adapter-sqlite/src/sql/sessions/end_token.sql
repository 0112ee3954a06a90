-- The rotated token ends now, or after its grace.
UPDATE session_tokens SET valid_until = ?3 WHERE bucket = ?1 AND hash = ?2
