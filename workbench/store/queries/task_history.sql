-- Tasks as a person sees them, newest first. $before (TIMESTAMP or null), $limit, $state (or null)
SELECT * FROM task_history
WHERE ($before::TIMESTAMP IS NULL OR submitted_at < $before::TIMESTAMP)
    AND ($state::VARCHAR IS NULL OR state = $state::VARCHAR)
ORDER BY submitted_at DESC, task_id LIMIT $limit
