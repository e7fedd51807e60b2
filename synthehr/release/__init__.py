"""Folders to hand over: of records, of visits, and the report that may be published."""
