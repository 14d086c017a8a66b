"""The values of KPIs: one table per KPI."""
