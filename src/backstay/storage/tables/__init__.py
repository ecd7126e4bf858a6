"""Tables that somebody else keeps, read as a source's reader says: Parquet, CSV, Delta, SQL.

`read_table` is the one door. What it gives are the columns that the source declares, with the types the table has:
`backstay.features.shaping` brings them into the form of the record. The libraries are imported when they are needed.
"""

from backstay.storage.tables.read import Since, read_table

__all__ = ["Since", "read_table"]
