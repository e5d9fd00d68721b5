-- The newest tasks: id, content hash and state of each, for a node's table of duplicates. $limit
SELECT task_id, content_hash, state
FROM tasks JOIN (SELECT task_id, state FROM task_history) USING (task_id)
ORDER BY submitted_at DESC, task_id LIMIT $limit
