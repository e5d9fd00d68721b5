-- Every version of every own function, less its source, in the order of their definition
SELECT name, version, title, description, pure, gpu_memory_mb, parameters_schema, batch_kind,
    needs_batch, sha256
FROM functions ORDER BY defined_at, name, version
