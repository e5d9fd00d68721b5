-- Side files, newest first. $folder (or null), $limit
SELECT * FROM side_files WHERE $folder::VARCHAR IS NULL OR folder = $folder::VARCHAR
ORDER BY created_at DESC, alias LIMIT $limit
