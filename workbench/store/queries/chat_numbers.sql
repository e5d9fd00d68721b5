-- The newest numbers. Conversations that clients named with numbers of their own do not count
SELECT coalesce((
        SELECT max(conversation_id) FROM conversation_entries WHERE conversation_id < $own
    ), 0) AS conversation_id,
    coalesce((SELECT max(message_id) FROM message_entries), 0) AS message_id
