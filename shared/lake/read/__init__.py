"""Reading the present instances of a type and the values of a KPI."""
