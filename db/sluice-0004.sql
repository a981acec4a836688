-- Finds an item by its id, which is not secret. NULL for records that are no items, and for items written before this.

ALTER TABLE record ADD COLUMN item TEXT;

CREATE INDEX record_by_item ON record (item) WHERE item IS NOT NULL;
