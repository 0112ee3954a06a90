-- All entries of a lease end at the same instant, so a lease is current for all of them or for none.
DELETE FROM hexmem.outbox WHERE lease = $1 AND leased_until > hexmem.now()
