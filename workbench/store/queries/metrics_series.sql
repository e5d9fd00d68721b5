-- Series in steps of $step_ms of the numbers kept as $resolution.
-- $metrics, $subjects (or null: all), $since, $until
SELECT metric, subject,
    epoch_ms(time_bucket(to_milliseconds($step_ms), from_at, $since::TIMESTAMP)) AS at_ms,
    sum(mean * samples) / sum(samples) AS mean, min(low) AS low, max(high) AS high
FROM metric_history
WHERE resolution = $resolution
    AND from_at >= $since::TIMESTAMP AND from_at < $until::TIMESTAMP
    AND list_contains($metrics::VARCHAR[], metric)
    AND ($subjects::VARCHAR[] IS NULL OR list_contains($subjects::VARCHAR[], subject))
GROUP BY ALL ORDER BY metric, subject, at_ms
