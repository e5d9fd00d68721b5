SELECT max(revision) AS revision FROM message_entries WHERE message_id = $message_id
