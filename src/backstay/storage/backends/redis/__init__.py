"""The Redis backend, for Redis 6 and Valkey 7 or newer: online state that several machines share.

Its driver (`pip install "backstay[redis]"`) is imported when a store is opened.
"""

from backstay.storage.backends.redis.online import RedisOnline

__all__ = ["RedisOnline"]
