-- What is complete by now, from samples to minutes and from minutes to hours. $now
INSERT INTO metric_minutes
SELECT metric, subject, min(value), avg(value), max(value), count(*),
    time_bucket(INTERVAL 1 MINUTE, taken_at) AS from_at
FROM metrics
WHERE taken_at < time_bucket(INTERVAL 1 MINUTE, $now::TIMESTAMP) AND taken_at >= coalesce(
    (SELECT max(from_at) + INTERVAL 1 MINUTE FROM metric_minutes), '-infinity'::TIMESTAMP)
GROUP BY ALL;
INSERT INTO metric_hours
SELECT metric, subject, min(low), sum(mean * samples) / sum(samples), max(high), sum(samples),
    time_bucket(INTERVAL 1 HOUR, from_at) AS hour_at
FROM metric_minutes
WHERE from_at < time_bucket(INTERVAL 1 HOUR, $now::TIMESTAMP) AND from_at >= coalesce(
    (SELECT max(from_at) + INTERVAL 1 HOUR FROM metric_hours), '-infinity'::TIMESTAMP)
GROUP BY ALL;
