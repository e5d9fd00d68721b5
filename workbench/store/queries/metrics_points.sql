-- Every kept number of some metrics in a time, samples where they are kept, else minutes.
-- $metrics, $since, $until
SELECT metric, subject, epoch_ms(taken_at) AS at_ms, value AS mean, value AS high, 'raw' AS resolution
FROM metrics
WHERE taken_at BETWEEN $since::TIMESTAMP AND $until::TIMESTAMP
    AND list_contains($metrics::VARCHAR[], metric)
UNION ALL
SELECT metric, subject, epoch_ms(from_at + INTERVAL 30 SECOND), mean, high, 'minute'
FROM metric_minutes
WHERE from_at BETWEEN $since::TIMESTAMP - INTERVAL 1 MINUTE AND $until::TIMESTAMP
    AND list_contains($metrics::VARCHAR[], metric)
    AND from_at < coalesce((SELECT min(taken_at) FROM metrics), 'infinity'::TIMESTAMP)
ORDER BY at_ms
