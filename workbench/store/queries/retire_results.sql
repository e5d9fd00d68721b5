-- Results of tasks that ended before then, less batches: the end stays, and says why there is no
-- result any more. $before, $instead (what stands there then, as JSON)
UPDATE task_events SET body = json_merge_patch(
    json_merge_patch(body, '{"cacheKey": null, "kept": false, "result":
        {"data": null, "figures": null, "tables": null, "alias": null, "file": null}}'),
    json_merge_patch($instead::VARCHAR, json_object('result', json_object('removed',
        json_object('file', json_extract(body, '$.result.file')))))
)
WHERE kind = 'done' AND recorded_at < $before::TIMESTAMP
    AND json_extract(body, '$.result.removed') IS NULL
    AND coalesce(json_extract_string(body, '$.result.file'), '') NOT LIKE 'batches/%';
DELETE FROM side_files
WHERE folder = 'results' AND created_at < $before::TIMESTAMP AND alias NOT IN (
    SELECT json_extract_string(body, '$.result.alias') FROM task_events
    WHERE kind = 'done' AND json_extract_string(body, '$.result.alias') IS NOT NULL
);
