-- One row of the pragmas that describe the file: as table functions they can be read in one statement.
SELECT
    sqlite_version() AS version,
    (SELECT user_version FROM pragma_user_version) AS user_version,
    (SELECT page_count FROM pragma_page_count) AS page_count,
    (SELECT page_size FROM pragma_page_size) AS page_size,
    (SELECT freelist_count FROM pragma_freelist_count) AS freelist_count
