SELECT kind, name, version, title, content, recorded_at AS updated_at, deleted
FROM prompt_entries WHERE kind = $kind AND name = $name ORDER BY version DESC, deleted DESC
