-- Tasks as a person sees them, newest first. $before (TIMESTAMP or null), $limit, $state (or null)
SELECT task_history.*, ending.body AS ending
FROM task_history
LEFT JOIN task_events AS ending
    ON ending.task_id = task_history.task_id
    AND ending.kind IN ('cancelled', 'timeout', 'failed', 'rejected', 'lost')
WHERE ($before::TIMESTAMP IS NULL OR submitted_at < $before::TIMESTAMP)
    AND ($state::VARCHAR IS NULL OR state = $state::VARCHAR)
ORDER BY submitted_at DESC, task_history.task_id LIMIT $limit
