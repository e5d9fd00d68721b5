-- The events of one task above a seq, in order; its acceptance, always the first, stands in
-- tasks. $task_id, $after
SELECT 1 AS seq, 1 AS attempt, 'accepted' AS kind, '{}' AS body, submitted_at AS recorded_at
FROM tasks WHERE task_id = $task_id AND $after < 1
UNION ALL
SELECT seq, attempt, kind, body, recorded_at
FROM task_events WHERE task_id = $task_id AND seq > $after ORDER BY seq
