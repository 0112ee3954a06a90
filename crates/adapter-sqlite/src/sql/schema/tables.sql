-- A file without our mark is a new one only while there is nothing in it.
SELECT count(*) FROM sqlite_schema
