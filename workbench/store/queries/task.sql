-- One accepted task as it was submitted, with its newest seq and attempt. $task_id
SELECT t.*,
    (SELECT coalesce(max(attempt), 1) FROM task_events WHERE task_id = $task_id) AS attempt,
    greatest(
        (SELECT coalesce(max(seq), 1) FROM task_events WHERE task_id = $task_id),
        (SELECT coalesce(max(seq), 0) FROM task_logs WHERE task_id = $task_id)
    ) AS max_seq
FROM tasks t WHERE task_id = $task_id LIMIT 1
