-- What is kept no longer. $raw_before, $minutes_before, $hours_before (or null: for ever)
DELETE FROM metrics WHERE taken_at < $raw_before::TIMESTAMP;
DELETE FROM metric_minutes WHERE from_at < $minutes_before::TIMESTAMP;
DELETE FROM metric_hours WHERE from_at < $hours_before::TIMESTAMP;
