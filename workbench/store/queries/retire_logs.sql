-- The lines of tasks that ended before then; one line for each task says so in their place.
-- $before, $content, $template, $given (the line in their place; its values as JSON)
INSERT INTO task_logs
SELECT task_id, max(seq), max(attempt), 'info', $content, $template, $given, max(logged_at)
FROM task_logs
WHERE template IS DISTINCT FROM $template AND logged_at < $before::TIMESTAMP AND task_id IN (
    SELECT task_id FROM task_events
    WHERE kind IN ('done', 'cancelled', 'timeout', 'failed', 'rejected', 'lost')
        AND recorded_at < $before::TIMESTAMP
)
GROUP BY task_id;
DELETE FROM task_logs
WHERE template IS DISTINCT FROM $template AND logged_at < $before::TIMESTAMP AND task_id IN (
    SELECT task_id FROM task_events
    WHERE kind IN ('done', 'cancelled', 'timeout', 'failed', 'rejected', 'lost')
        AND recorded_at < $before::TIMESTAMP
);
