-- Names a tag in a directory, before anything is written under it. The stamp says how fresh the announcement is.
redis.call('ZADD', tag .. ':t', 'GT', now, take())
return whole(now)
