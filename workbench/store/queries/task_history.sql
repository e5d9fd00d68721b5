-- Tasks as a person sees them, newest first; '' for an inline input that is too long to be shown.
-- $before (TIMESTAMP or null), $limit, $state (or null)
WITH page AS (
    SELECT * FROM task_history
    WHERE ($before::TIMESTAMP IS NULL OR submitted_at < $before::TIMESTAMP)
        AND ($state::VARCHAR IS NULL OR state = $state::VARCHAR)
    ORDER BY submitted_at DESC, task_id LIMIT $limit
)
SELECT page.*, tasks.content_hash,
    CASE WHEN strlen(tasks.inline_input) <= 1000 THEN tasks.inline_input
         WHEN tasks.inline_input IS NOT NULL THEN '' END AS inline_input,
    CASE WHEN ending.kind <> 'done' THEN ending.body END AS ending,
    CASE WHEN ending.kind = 'done' THEN json_extract(ending.body, '$.result.removed') END AS removed
FROM page JOIN tasks USING (task_id)
LEFT JOIN task_events AS ending
    ON ending.task_id = page.task_id
    AND ending.kind IN ('done', 'cancelled', 'timeout', 'failed', 'rejected', 'lost')
ORDER BY submitted_at DESC, page.task_id
