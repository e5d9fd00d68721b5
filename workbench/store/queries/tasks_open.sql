-- Every accepted task without a terminal event, oldest first, with the newest seq (events and
-- logs), attempt and event kind of each: what a node takes up again after it was killed.
WITH ended AS (
    SELECT DISTINCT task_id FROM task_events
    WHERE kind IN ('done', 'cancelled', 'timeout', 'failed', 'rejected', 'lost')
), open AS (
    SELECT * FROM tasks ANTI JOIN ended USING (task_id)
), events AS (
    SELECT task_id, max(seq) AS seq, max(attempt) AS attempt, arg_max(kind, seq) AS kind
    FROM task_events SEMI JOIN open USING (task_id) GROUP BY task_id
), logs AS (
    SELECT task_id, max(seq) AS seq, count(*) AS logs
    FROM task_logs SEMI JOIN open USING (task_id) GROUP BY task_id
)
SELECT open.*, coalesce(events.attempt, 1) AS attempt, events.kind AS kind,
    greatest(coalesce(events.seq, 1), coalesce(logs.seq, 1)) AS max_seq,
    coalesce(logs.logs, 0) AS logs
FROM open LEFT JOIN events USING (task_id) LEFT JOIN logs USING (task_id)
ORDER BY submitted_at, task_id
