-- The rotated token ends now, or after its grace, and those in an earlier grace no later.
UPDATE session_tokens SET valid_until = ?2
WHERE session = ?1 AND (valid_until IS NULL OR valid_until > ?2)
