-- Series in steps of $step_ms. $metrics, $subjects (or null: all), $since, $until
SELECT metric, subject,
    epoch_ms(time_bucket(to_milliseconds($step_ms), taken_at, $since::TIMESTAMP)) AS at_ms,
    avg(value) AS mean, min(value) AS low, max(value) AS high
FROM metrics
WHERE taken_at >= $since::TIMESTAMP AND taken_at < $until::TIMESTAMP
    AND list_contains($metrics::VARCHAR[], metric)
    AND ($subjects::VARCHAR[] IS NULL OR list_contains($subjects::VARCHAR[], subject))
GROUP BY ALL ORDER BY metric, subject, at_ms
