SELECT * FROM chat_messages WHERE message_id = $message_id
