-- All entries of a lease end at the same instant, so a lease is current for all of them or for none.
DELETE FROM outbox WHERE lease = ?1 AND leased_until > ?2
