-- The newest side file of an alias. $alias
SELECT * FROM side_files WHERE alias = $alias ORDER BY created_at DESC LIMIT 1
