-- Candidates of a search, with what a filter needs.
SELECT p.at, p.id, p.payload FROM json_each(?1) AS j CROSS JOIN vector_points AS p ON p.at = j.value
