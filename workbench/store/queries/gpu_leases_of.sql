-- The GPUs of one holder in a time: a task's attempts, or a model. $kind, $holder, $since, $until
SELECT DISTINCT gpu_id FROM gpu_leases
WHERE kind = $kind AND granted_at <= $until::TIMESTAMP
    AND (released_at IS NULL OR released_at >= $since::TIMESTAMP)
    AND $holder = CASE kind
        WHEN 'task' THEN regexp_extract(claim_id, '^(.*)\.[0-9]+$', 1, 's') ELSE claim_id END
ORDER BY gpu_id
