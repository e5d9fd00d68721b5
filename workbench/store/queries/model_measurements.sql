SELECT * FROM model_measurements WHERE kind = $kind ORDER BY measured_at DESC LIMIT $limit
