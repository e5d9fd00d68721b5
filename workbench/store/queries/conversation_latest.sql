SELECT conversation_id FROM conversations ORDER BY updated_at DESC, conversation_id DESC LIMIT 1
