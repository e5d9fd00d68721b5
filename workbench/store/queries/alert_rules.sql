-- The newest word about each rule; a null rule was deleted
SELECT name, rule FROM alert_rule_entries
QUALIFY row_number() OVER (PARTITION BY name ORDER BY recorded_at DESC) = 1
ORDER BY name
