SELECT * FROM chat_messages WHERE status = 'streaming' ORDER BY message_id
