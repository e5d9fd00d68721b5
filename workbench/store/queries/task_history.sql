-- Tasks as a person sees them, newest first. $before (TIMESTAMP or null), $limit, $state (or null)
WITH page AS (
    SELECT * FROM task_history
    WHERE ($before::TIMESTAMP IS NULL OR submitted_at < $before::TIMESTAMP)
        AND ($state::VARCHAR IS NULL OR state = $state::VARCHAR)
    ORDER BY submitted_at DESC, task_id LIMIT $limit
)
SELECT page.*,
    CASE WHEN ending.kind <> 'done' THEN ending.body END AS ending,
    CASE WHEN ending.kind = 'done' THEN json_extract(ending.body, '$.result.removed') END AS removed
FROM page
LEFT JOIN task_events AS ending
    ON ending.task_id = page.task_id
    AND ending.kind IN ('done', 'cancelled', 'timeout', 'failed', 'rejected', 'lost')
ORDER BY submitted_at DESC, page.task_id
