-- Held entries count: they wait until they are acknowledged.
SELECT count(*) FROM hexmem.outbox
