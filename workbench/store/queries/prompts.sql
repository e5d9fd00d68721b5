SELECT * FROM prompts WHERE kind = $kind ORDER BY lower(name), name
