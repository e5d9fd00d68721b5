-- The newest alerts that were cleared. $limit
SELECT * FROM alerts WHERE state = 'cleared' ORDER BY raised_at DESC, alert_id LIMIT $limit
