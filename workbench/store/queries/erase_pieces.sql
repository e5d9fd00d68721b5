-- Whole answers hold their text themselves
DELETE FROM message_pieces WHERE message_id IN (
    SELECT message_id FROM message_entries WHERE status <> 'streaming'
);
