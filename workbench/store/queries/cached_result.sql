-- The newest done task of the same content that ended since then. $content_hash, $since (or null)
SELECT task_id, e.seq, e.attempt, e.kind, e.body, e.recorded_at
FROM task_events e SEMI JOIN (
    SELECT task_id FROM tasks WHERE content_hash = $content_hash
) same USING (task_id)
WHERE e.kind = 'done' AND ($since::TIMESTAMP IS NULL OR e.recorded_at >= $since::TIMESTAMP)
ORDER BY e.recorded_at DESC, task_id LIMIT 1
