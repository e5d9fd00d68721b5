-- The newest alerts, cleared or not. $limit
SELECT * FROM alerts ORDER BY raised_at DESC, alert_id LIMIT $limit
