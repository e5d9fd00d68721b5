-- The events of one task above a seq, in order. $task_id, $after
SELECT seq, attempt, kind, body, recorded_at
FROM task_events WHERE task_id = $task_id AND seq > $after ORDER BY seq
