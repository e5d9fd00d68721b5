-- The steps on the way of tasks that ended before then, less the newest start, by which a history
-- knows how long they took; past alerts; loans of GPU memory that are over; notes. $before
DELETE FROM task_events
WHERE kind NOT IN ('done', 'cancelled', 'timeout', 'failed', 'rejected', 'lost')
    AND recorded_at < $before::TIMESTAMP
    AND task_id IN (
        SELECT task_id FROM task_events
        WHERE kind IN ('done', 'cancelled', 'timeout', 'failed', 'rejected', 'lost')
            AND recorded_at < $before::TIMESTAMP
    )
    AND (task_id, seq) NOT IN (
        SELECT (task_id, max(seq)) FROM task_events WHERE kind = 'running' GROUP BY task_id
    );
DELETE FROM alert_entries WHERE alert_id IN (
    SELECT alert_id FROM alert_entries WHERE cleared_at < $before::TIMESTAMP
);
DELETE FROM gpu_lease_entries WHERE (claim_id, granted_at) IN (
    SELECT (claim_id, granted_at) FROM gpu_lease_entries WHERE released_at < $before::TIMESTAMP
);
DELETE FROM audit WHERE recorded_at < $before::TIMESTAMP;
