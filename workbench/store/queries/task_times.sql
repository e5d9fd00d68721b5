SELECT started_at, finished_at, state FROM task_history WHERE task_id = $task_id
