"""How honest ingestion is: dirty files with the truth beside them, and what the product makes of them."""
