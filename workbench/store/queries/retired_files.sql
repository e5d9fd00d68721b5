-- Side files of results that retention removed, and that no row names any more
SELECT DISTINCT json_extract_string(body, '$.result.removed.file') AS path FROM task_events
WHERE kind = 'done' AND json_extract_string(body, '$.result.removed.file') IS NOT NULL
    AND json_extract_string(body, '$.result.removed.file') NOT IN (SELECT path FROM side_files)
