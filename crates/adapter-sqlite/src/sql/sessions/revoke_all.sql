-- All live ones of the owner but one; NULL excepts nobody.
UPDATE sessions
SET revoked_at = ?3, revision = revision + 1, modified_at = ?3, sweep_at = min(sweep_at, ?3 + retention)
WHERE owner = ?1 AND id IS NOT ?2 AND revoked_at IS NULL AND idle_expires_at > ?3
