SELECT * FROM gpu_leases WHERE released_at IS NULL
