SELECT * FROM alerts WHERE state = 'raised' ORDER BY raised_at, alert_id
