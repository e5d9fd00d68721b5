-- The newest messages of a conversation, oldest first, up to a number of them and of characters
WITH newest AS (
    SELECT *, sum(length(content) + length(reasoning)) OVER (ORDER BY message_id DESC) AS chars
    FROM chat_messages
    WHERE conversation_id = $conversation_id AND replaced_at IS NULL
    ORDER BY message_id DESC LIMIT $limit
)
SELECT * EXCLUDE (chars) FROM newest
WHERE chars <= $characters OR message_id = (SELECT max(message_id) FROM newest)
ORDER BY message_id
