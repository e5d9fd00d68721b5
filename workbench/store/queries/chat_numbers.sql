SELECT coalesce((SELECT max(conversation_id) FROM conversation_entries), 0) AS conversation_id,
    coalesce((SELECT max(message_id) FROM message_entries), 0) AS message_id
