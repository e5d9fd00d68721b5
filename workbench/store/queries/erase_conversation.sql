DELETE FROM message_pieces WHERE message_id IN (
    SELECT message_id FROM message_entries WHERE conversation_id = $conversation_id
);
DELETE FROM message_replacements WHERE message_id IN (
    SELECT message_id FROM message_entries WHERE conversation_id = $conversation_id
);
DELETE FROM message_entries WHERE conversation_id = $conversation_id;
DELETE FROM conversation_entries WHERE conversation_id = $conversation_id;
