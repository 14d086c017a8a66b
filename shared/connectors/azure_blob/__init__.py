"""AzureBlob: CSV files of a storage account are read."""
