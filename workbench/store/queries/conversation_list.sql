-- Newest first; with a search, those whose title or messages hold the text, with an excerpt
WITH wanted AS (SELECT strip_accents(lower($search)) AS text),
hits AS (
    SELECT conversation_id, arg_min(content, message_id) AS content
    FROM chat_messages, wanted
    WHERE wanted.text <> '' AND replaced_at IS NULL
        AND contains(strip_accents(lower(content)), wanted.text)
    GROUP BY conversation_id
)
SELECT conversations.*,
    CASE WHEN hits.content IS NOT NULL THEN substr(hits.content, greatest(1,
        CAST(instr(strip_accents(lower(hits.content)), wanted.text) AS BIGINT) - 40), 160)
    END AS found
FROM conversations CROSS JOIN wanted LEFT JOIN hits USING (conversation_id)
WHERE ($before::TIMESTAMP IS NULL OR updated_at < $before)
    AND (wanted.text = '' OR hits.content IS NOT NULL
        OR contains(strip_accents(lower(title)), wanted.text))
ORDER BY updated_at DESC, conversation_id DESC
LIMIT $limit
