-- Dropping a collection takes one short transaction, whatever it holds: the name gets another number for its rows, and
-- the old rows go in steps. A drop that is cut off is finished by the next one.

-- What dropped collections left.
CREATE TABLE hexmem.vector_remains (
    collection bigint PRIMARY KEY
);

-- Where a name stands in a scan of all: its id changes with each life, this never.
ALTER TABLE hexmem.vector_collections ADD COLUMN place bigint GENERATED ALWAYS AS IDENTITY;

CREATE UNIQUE INDEX vector_collections_place ON hexmem.vector_collections (place);

-- Begins a life of the name (with a stamp), or ends one; whatever was in it is left to vector_clear. The name is locked
-- by the caller.
CREATE OR REPLACE FUNCTION hexmem.vector_begin(
    name_hash bytea, its_tenant text, its_name text, its_version bigint, its_time timestamptz, its_spec text,
    dense_vectors smallint, sparse_vectors integer
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    one bigint;
BEGIN
    SELECT c.id INTO one FROM hexmem.vector_collections c
    WHERE c.key_hash = name_hash AND c.spec IS NOT NULL FOR UPDATE;
    IF FOUND THEN
        INSERT INTO hexmem.vector_remains (collection) VALUES (one);
        UPDATE hexmem.vector_collections SET id = DEFAULT WHERE key_hash = name_hash;
    END IF;
    INSERT INTO hexmem.vector_collections AS c
        (key_hash, tenant, name, version, modified_at, revision, spec, points, populations, dense_count, dead)
    VALUES (
        name_hash, its_tenant, its_name, its_version, its_time, its_version, its_spec, 0,
        array_fill(0::bigint, ARRAY[sparse_vectors]), dense_vectors, 0
    )
    ON CONFLICT (key_hash) DO UPDATE SET
        version = excluded.version, modified_at = excluded.modified_at,
        revision = greatest(c.revision, excluded.revision), spec = excluded.spec, points = 0,
        populations = excluded.populations, dense_count = excluded.dense_count, dead = 0, tidy_list = NULL,
        tidy_chunk = NULL, tidy_place = NULL
    RETURNING c.id INTO one;
    INSERT INTO hexmem.vector_ords (collection, next) VALUES (one, 0) ON CONFLICT (collection) DO NOTHING;
    RETURN one;
END
$$;

DROP FUNCTION hexmem.vector_clear(bigint);

-- Clears up to p_rows rows that dropped collections left, of one table at a time. False when nothing is left that this
-- role may clear and nobody else is at. By the index: a table read from its beginning meets, at each step, the rows that
-- the steps before have deleted. Who still searches in an index of such a collection is not waited for.
CREATE FUNCTION hexmem.vector_clear(p_rows bigint) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off SET lock_timeout = '100ms' AS $$
DECLARE
    one  bigint;
    own  record;
    gone bigint;
BEGIN
    FOR one IN SELECT r.collection FROM hexmem.vector_remains r ORDER BY r.collection FOR UPDATE SKIP LOCKED LOOP
        FOR own IN SELECT i.channel FROM hexmem.vector_indexes i WHERE i.collection = one LOOP
            BEGIN
                EXECUTE format('DROP TABLE IF EXISTS hexmem.vector_index_%s_%s', one, own.channel);
                DELETE FROM hexmem.vector_indexes i WHERE i.collection = one AND i.channel = own.channel;
                RETURN true;
            EXCEPTION
                -- Left to a later call, or to a role that owns it.
                WHEN insufficient_privilege OR lock_not_available THEN
                    NULL;
            END;
        END LOOP;
        DELETE FROM hexmem.vector_points WHERE ctid = ANY (ARRAY(
            SELECT p.ctid FROM hexmem.vector_points p WHERE p.collection = one LIMIT p_rows));
        GET DIAGNOSTICS gone = ROW_COUNT;
        IF gone > 0 THEN RETURN true; END IF;
        DELETE FROM hexmem.vector_gone WHERE ctid = ANY (ARRAY(
            SELECT g.ctid FROM hexmem.vector_gone g WHERE g.collection = one LIMIT p_rows));
        GET DIAGNOSTICS gone = ROW_COUNT;
        IF gone > 0 THEN RETURN true; END IF;
        DELETE FROM hexmem.vector_dense WHERE ctid = ANY (ARRAY(
            SELECT d.ctid FROM hexmem.vector_dense d WHERE d.collection = one LIMIT p_rows));
        GET DIAGNOSTICS gone = ROW_COUNT;
        IF gone > 0 THEN RETURN true; END IF;
        DELETE FROM hexmem.vector_lists WHERE ctid = ANY (ARRAY(
            SELECT l.ctid FROM hexmem.vector_lists l WHERE l.collection = one LIMIT p_rows));
        GET DIAGNOSTICS gone = ROW_COUNT;
        IF gone > 0 THEN RETURN true; END IF;
        DELETE FROM hexmem.vector_dead WHERE ctid = ANY (ARRAY(
            SELECT d.ctid FROM hexmem.vector_dead d WHERE d.collection = one LIMIT p_rows));
        GET DIAGNOSTICS gone = ROW_COUNT;
        IF gone > 0 THEN RETURN true; END IF;
        IF NOT EXISTS (SELECT FROM hexmem.vector_indexes i WHERE i.collection = one) THEN
            DELETE FROM hexmem.vector_ords o WHERE o.collection = one;
            DELETE FROM hexmem.vector_remains r WHERE r.collection = one;
        END IF;
    END LOOP;
    RETURN false;
END
$$;
