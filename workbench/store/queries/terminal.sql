-- How a task ended; no row while it has not. $task_id
SELECT seq, attempt, kind, body, recorded_at FROM task_events
WHERE task_id = $task_id
    AND kind IN ('done', 'cancelled', 'timeout', 'failed', 'rejected', 'lost')
ORDER BY seq LIMIT 1
