-- The log of one task above a seq, in order. $task_id, $after, $limit
SELECT seq, attempt, level, content, template, template_values, logged_at
FROM task_logs WHERE task_id = $task_id AND seq > $after ORDER BY seq LIMIT $limit
