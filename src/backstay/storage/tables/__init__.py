"""Tables that somebody else keeps, read as a source's reader says: Parquet, CSV, Delta, SQL.

`read_table` reads a source's columns at once, with the types the table has: `backstay.features.shaping` brings them
into the form of the record. A `Table` is gone through in parts, where it may be larger than memory. The libraries are
imported when they are needed.
"""

from backstay.storage.tables.read import Since, read_table
from backstay.storage.tables.scan import Table

__all__ = ["Since", "Table", "read_table"]
