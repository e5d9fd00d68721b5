-- A message and those after it, as far as they still count
SELECT message_id, role FROM chat_messages
WHERE conversation_id = $conversation_id AND replaced_at IS NULL AND message_id >= $message_id
ORDER BY message_id
